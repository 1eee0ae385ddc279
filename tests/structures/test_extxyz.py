"""Extended XYZ: equal to ASE's reader, and what it makes of damaged files."""

from __future__ import annotations

import gzip
import io
import lzma

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.extxyz import read_xyz
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference.same import assert_same_batch, assert_same_structure

from distdesc.errors import CampaignError, SourceError
from distdesc.structures import _extxyz_scan
from distdesc.structures.extxyz import ExtxyzFiles
from distdesc.structures.records import from_atoms

HEADER = 'Properties=species:S:1:pos:R:3 pbc="F F F"'
WATER = f"3\n{HEADER}\nO 0.0 0.0 0.1173\nH 0.0 0.7572 -0.4692\nH 0.0 -0.7572 -0.4692\n"
DIMER = f"2\n{HEADER} energy=-1.5\nN 0.0 0.0 0.0\nN 0.0 0.0 1.1\n"


@pytest.fixture
def scanned(tmp_path):
    def scan(content, name="x.xyz"):
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(data)
        source = ExtxyzFiles(str(tmp_path / name))
        return source, source.scan(scratch=tmp_path / "scratch")

    return scan


def read_all(source, index, records=False):
    return source.read(index, 0, len(index), records)


def assert_equals_ase(source, index, text):
    expected = [from_atoms(atoms) for atoms in read_xyz(io.StringIO(text), slice(None))]
    batch = read_all(source, index, records=True)
    assert not batch.problems
    assert len(batch) == len(expected)
    for record, wanted in zip(batch.records, expected, strict=True):
        assert_same_structure(record, wanted)
    assert_geometry_equals_records(source, index)


def assert_geometry_equals_records(source, index):
    batch = read_all(source, index, records=True)
    assert_same_batch(read_all(source, index), type(batch)(**{**vars(batch), "records": None}))


def test_molecules_are_read_as_ase_reads_them(molecules):
    source = ExtxyzFiles(str(molecules))
    assert_equals_ase(source, source.scan(), molecules.read_text())


@pytest.mark.parametrize(
    "name",
    [
        "molecules/3bpa_300K.xyz.gz",
        "molecules/qm7x_100.xyz.gz",
        "crystals/mad_sample_700.xyz.gz",
        "crystals/binary_alloys_918.xyz.gz",
        "surfaces/tac_slabs_50.xyz.gz",
    ],
)
def test_real_files_are_read_as_ase_reads_them(shared_data, tmp_path, name):
    text = gzip.decompress((shared_data / name).read_bytes()).decode()
    lines = text.splitlines(keepends=True)
    end = 0
    for _ in range(50):
        end += int(lines[end]) + 2
    (tmp_path / "x.xyz").write_text("".join(lines[:end]))
    source = ExtxyzFiles(str(tmp_path / "x.xyz"))
    assert_equals_ase(source, source.scan(), "".join(lines[:end]))


NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=64)
KEYS = st.from_regex(r"[a-z_][a-z0-9_]{2,8}", fullmatch=True)
VALUES = st.one_of(
    st.integers(-(2**62), 2**62),
    st.floats(allow_nan=True),
    st.booleans(),
    st.text("abcXYZ =,[]{}'\"_-.:", max_size=12),
    st.lists(st.integers(-9, 9), min_size=2, max_size=4).map(np.array),
    st.lists(NUMBERS, min_size=2, max_size=4).map(np.array),
    st.dictionaries(st.text("ab", max_size=2), st.integers(0, 9), max_size=2),
)


@st.composite
def molecules_of_anything(draw):
    n = draw(st.integers(1, 4))
    row = st.lists(NUMBERS, min_size=3, max_size=3)
    table = st.lists(row, min_size=n, max_size=n)
    atoms = Atoms(draw(st.lists(st.integers(1, 118), min_size=n, max_size=n)), draw(table))
    if draw(st.booleans()):
        atoms.cell = draw(st.lists(row, min_size=3, max_size=3))
        atoms.pbc = draw(st.lists(st.booleans(), min_size=3, max_size=3))
    atoms.info = draw(st.dictionaries(KEYS, VALUES, max_size=4))
    results = {}
    if draw(st.booleans()):
        results["energy"] = draw(st.floats())
    if draw(st.booleans()):
        results["forces"] = np.array(draw(table))
    if draw(st.booleans()):
        results["stress"] = np.array(draw(st.lists(NUMBERS, min_size=6, max_size=6)))
    atoms.calc = SinglePointCalculator(atoms, **results)
    if draw(st.booleans()):
        atoms.set_tags(draw(st.lists(st.integers(-9, 9), min_size=n, max_size=n)))
    if draw(st.booleans()):
        labels = st.lists(st.text("abZ1", min_size=1, max_size=9), min_size=n, max_size=n)
        atoms.arrays["label"] = np.array(draw(labels))
    if draw(st.booleans()):
        masks = st.lists(st.booleans(), min_size=n, max_size=n)
        atoms.arrays["fixed"] = np.array(draw(masks))
    return atoms


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(images=st.lists(molecules_of_anything(), min_size=1, max_size=3))
def test_whatever_ase_writes_is_read_as_ase_reads_it(tmp_path, images):
    text = io.StringIO()
    ase.io.write(text, images, format="extxyz")
    path = tmp_path / "any.xyz"
    path.write_text(text.getvalue())
    source = ExtxyzFiles(str(path))
    index = source.scan()
    try:
        expected = [from_atoms(a) for a in read_xyz(io.StringIO(text.getvalue()), slice(None))]
    except (ValueError, TypeError, KeyError, AttributeError):
        return  # ASE cannot read every value that it writes
    batch = read_all(source, index, records=True)
    for record, wanted in zip(batch.records, expected, strict=True):
        assert_same_structure(record, wanted)
    assert_geometry_equals_records(source, index)


@pytest.mark.parametrize(
    "text",
    [
        "1\nany words without meaning\nH 0 0 0.5\n",
        "1\n\nH 0 0 0.5\n",
        '1\n{"a": 1}\nH 0 0 0.5\n',
        f"1\n{HEADER}\nH 0 nan 0.5\n",
        f"1\n{HEADER}\nH 0 0 0.5 and more columns 1\n",
        f"1\n{HEADER} energy=nan\nh 0 0 1e-310\n",
        '1\nLattice="3 0 0 0 4 0 0.5 0 5"\nH 0 0 0.5\n',
        '1\nLattice="3.0 0 0 0 4 0 0.5 0 5" pbc="T F T"\nCL 0 0 0.5\n',
        '1\nLattice="99999999999 0 0 0 4 0 0 0 5"\nH 0 0 0.5\n',
        '1\nLattice="4294967301 0 0 0.5 4 0 0 0 5.5"\nH 0 0 0.5\n',
        '1\nLattice="99999999999999999999999 0 0 0.5 4 0 0 0 5.5"\nH 0 0 0.5\n',
        '1\na="Lattice=x" Lattice="3 0 0 0.5 4 0 0 0 5.5"\nH 0 0 0.5\n',
        "1\nProperties=species:S:1:pos:R:3:charge:R:1:k:I:1:b:L:1\nH 0 0 0.5 1 -7 T\n",
        "1\nProperties=pos:R:3:charge:R:1:tags:I:1\n0 0 0.5 7 1\n",
        "1\nProperties=pos:R:3:x:R:1\n0 0 0.5 7\n",
        "1\nProperties={species:S:1:pos:R:3:tags:I:1}\nH 0 0 0.5 2\n",
        "1\nProperties=pos:R:3:Z:I:1\n0 0 0.5 7\n",
        "1\nProperties=species:S:1:pos:R:3:initial_charges:R:1\nH 0 0 0.5 2.5\n",
        "0\nProperties=species:S:1:pos:R:3\n",
        '1\nProperties=species:S:1:pos:R:3 stress="1 2 3 2 5 6 3 6 9"\nH 0 0 0\n',
        '1\nProperties=species:S:1:pos:R:3 stress="1 2 3 2 5 6 3 6 9.5" a="x y"\nH 0 0 0\n',
        '1\nvirial="1 2 3 4 5 6 7 8 9" list="T F" json="_JSON [[1, 2], [3, 4]]"\nH 0 0 0\n',
    ],
)
def test_a_frame_out_of_the_ordinary_is_read_as_ase_reads_it(scanned, text):
    assert_equals_ase(*scanned(text + DIMER), text + DIMER)


def test_line_ends_and_blank_lines_do_not_matter(scanned):
    plain = read_all(*scanned(WATER + DIMER), records=True)
    for name, text in {
        "crlf.xyz": (WATER + DIMER).replace("\n", "\r\n"),
        "blank.xyz": f"\n\n{WATER}\n  \n{DIMER}\n \n",
        "no_end.xyz": (WATER + DIMER).rstrip("\n"),
    }.items():
        assert_same_batch(read_all(*scanned(text, name), records=True), plain)


def test_text_that_is_not_utf8_is_latin1(scanned):
    text = WATER.replace("pbc", "author=André pbc").encode("latin-1")
    batch = read_all(*scanned(text), records=True)
    assert batch.records[0].info == {"author": "André"}


def test_numbers_may_stand_for_symbols(scanned):
    text = WATER.replace("O ", "8 ").replace("H ", "1 ")
    for content in (text, text.replace("species:S", "species:I")):
        source, index = scanned(content)
        assert_geometry_equals_records(source, index)
        assert read_all(source, index).numbers.tolist() == [8, 1, 1]


def test_unknown_species_are_a_problem_of_their_frame(scanned):
    source, index = scanned(WATER.replace("O ", "Xx ") + DIMER)
    batch = read_all(source, index)
    assert list(batch.problems) == [0]
    assert "line 1: unknown species 'Xx'" in batch.problems[0]
    assert batch.numbers.tolist() == [0, 0, 0, 7, 7]
    assert np.isnan(batch.positions[:3]).all()
    assert_geometry_equals_records(source, index)


@pytest.mark.parametrize(
    ("damage", "counts", "problem"),
    [
        (WATER.replace("3\n", "4\n", 1), [0, 2], "line 1: announces 4 atoms, but line 6 is not an"),
        ("garbage\n0\nand so on\n", [0, 2], "line 1: expected a number of atoms, found 'garbage'"),
        (WATER.replace(" 0.1173", ""), [0, 2], "line 1: announces 3 atoms, but line 3 is not an"),
        ("garbage\n1 2 3\n", [0, 2], "line 1: expected a number of atoms, found 'garbage'"),
        (b"\x00\xff\n\xfe\x01\n17\n\n".decode("latin-1"), [0, 2], "line 1: expected a number"),
        ("-3\n" + WATER[2:], [0, 2], "line 1: expected a number of atoms, found '-3'"),
        ("99999999999999999999\n" + WATER[2:], [0, 2], "line 1: expected a number of atoms"),
        (WATER[:-20] + "\n", [0, 2], "line 1: announces 3 atoms, but line 5 is not an atom"),
    ],
)
def test_what_is_no_frame_is_a_problem_and_the_next_frame_is_found(
    scanned, damage, counts, problem
):
    source, index = scanned(damage + DIMER)
    assert index.atom_counts.tolist() == counts
    assert list(index.problems) == [0]
    assert problem in index.problems[0]
    assert "x.xyz" in index.problems[0]
    batch = read_all(source, index, records=True)
    assert batch.problems == index.problems
    assert batch.records[0] is None
    assert batch.numbers.tolist() == [7, 7]
    again, index = scanned(DIMER + damage + DIMER, "between.xyz")
    assert index.atom_counts.tolist() == [2, *counts]
    assert read_all(again, index).numbers.tolist() == [7, 7, 7, 7]


@pytest.mark.parametrize("cut", [1, 3, 40, 60, 75])
def test_a_file_cut_short_ends_with_a_problem(scanned, cut):
    _, index = scanned(DIMER + WATER[:cut])
    assert index.atom_counts.tolist() == [2, 0]
    assert list(index.problems) == [1]


def test_a_frame_that_announces_too_few_atoms_is_not_taken_for_whole(scanned):
    source, index = scanned(WATER.replace("3\n", "2\n", 1) + DIMER)
    assert index.atom_counts.tolist() == [2, 0, 2]
    assert sorted(index.problems) == [0, 1]
    assert "announces fewer atoms than it has" in index.problems[0]
    assert sorted(read_all(source, index).problems) == [0, 1]


def test_a_frame_that_no_parser_reads_keeps_its_atoms_in_the_index(scanned):
    text = DIMER + WATER.replace("pos:R:3", "pos:R:3:forces:R:3") + DIMER
    source, index = scanned(text)
    assert index.atom_counts.tolist() == [2, 3, 2]
    batch = read_all(source, index)
    assert list(batch.problems) == [1]
    assert "x.xyz line 5" in batch.problems[1]
    assert batch.numbers.tolist() == [7, 7, 0, 0, 0, 7, 7]


@pytest.mark.parametrize(
    "columns",
    [
        "foo:R:4",
        "Z:I:1:foo:R:3",
        "species:I:1:foo:I:3",
        "foo:X:4",
        "forces:R:3:magmoms:I:1 other_Properties=pos:R:3",
    ],
)
def test_a_frame_without_positions_is_a_problem_and_not_made_up(scanned, columns):
    source, index = scanned(f"1\nProperties={columns}\n1 2 3 4\n{DIMER}")
    for records in (False, True):
        assert list(read_all(source, index, records).problems) == [0]


def test_integers_that_overflow_are_a_problem_and_not_other_integers(scanned):
    source, index = scanned(f"1\n{HEADER.replace('R:3', 'R:3:tags:I:1')}\nH 0 0 0 4294967301\n")
    assert list(read_all(source, index, records=True).problems) == [0]


def test_a_frame_that_no_longer_ends_where_it_did_is_not_read(scanned, tmp_path):
    source, index = scanned(WATER + DIMER)
    (tmp_path / "x.xyz").write_text(WATER.replace("0.4692", "0.46920001") + DIMER)
    for records in (False, True):
        problems = read_all(source, index, records).problems
        assert sorted(problems) == [0, 1]
        assert "the file has changed" in problems[0]


def test_an_atom_line_without_a_frame_before_it_blames_no_frame(scanned):
    _, index = scanned("H 0.0 0.0 0.0\n" + DIMER)
    assert index.atom_counts.tolist() == [0, 2]
    assert sorted(index.problems) == [0]


def test_a_frame_with_unreadable_labels_has_a_geometry_but_no_record(scanned):
    source, index = scanned(WATER.replace("pbc", 'a="_JSON [1," pbc'))
    assert not read_all(source, index).problems
    batch = read_all(source, index, records=True)
    assert "JSONDecodeError" in batch.problems[0]
    assert batch.records == [None]


def test_frames_and_lines_may_be_cut_by_the_buffer(scanned, monkeypatch):
    text = DIMER + "junk\n" + WATER + "\n" + DIMER + "junk junk\n17\n" + WATER * 3
    expected, index = scanned(text)
    for size in (16, 29, 64, 1000):
        monkeypatch.setattr(_extxyz_scan, "BLOCK", size)
        monkeypatch.setattr(_extxyz_scan, "FRAMES", 2)
        other = expected.scan()
        assert other.locators.tolist() == index.locators.tolist()
        assert other.atom_counts.tolist() == index.atom_counts.tolist()
        assert other.problems == index.problems
        assert other.digest == index.digest


def test_compressed_files_are_unpacked_into_the_scratch_folder(scanned, tmp_path):
    plain, index = scanned(WATER + DIMER)
    wanted = read_all(plain, index, records=True)
    for name, pack in {"x.xyz.gz": gzip.compress, "x.xyz.xz": lzma.compress}.items():
        source, packed = scanned(pack((WATER + DIMER).encode()), name)
        assert not source.seekable
        assert packed.digest == index.digest
        assert_same_batch(read_all(source, packed, records=True), wanted)
        with pytest.raises(SourceError, match=f"{name} is compressed .*distdesc ingest"):
            source.scan()
    assert plain.seekable


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_a_damaged_compressed_file_gives_what_can_be_unpacked(scanned, pack):
    name = "x.xyz.gz" if pack is gzip.compress else "x.xyz.xz"
    rng = np.random.default_rng(1)
    text = "".join(WATER.replace("0.1173", f"{x:.12f}") for x in rng.random(3000))
    packed = pack(text.encode())
    source, index = scanned(packed[: len(packed) // 2], name)
    assert 500 < len(index) < 2500
    last = len(index) - 1
    assert list(index.problems) == [last]
    assert f"{name} is damaged" in index.problems[last]
    assert sorted(read_all(source, index).problems) == [last]
    _, index = scanned(packed[:20], name)
    assert index.atom_counts.tolist() == [0]
    assert "is damaged" in index.problems[0]


def test_an_empty_file_is_refused_by_name_but_not_among_others(scanned, tmp_path):
    with pytest.raises(SourceError, match=r"empty.xyz is empty"):
        scanned(" \n\n", "empty.xyz")
    scanned(DIMER, "full.xyz")
    index = ExtxyzFiles(str(tmp_path / "*.xyz")).scan()
    assert index.atom_counts.tolist() == [0, 2]
    assert "empty.xyz is empty" in index.problems[0]


def test_files_come_in_the_order_of_the_list_and_globs_in_that_of_their_names(scanned, tmp_path):
    for name in "hbfdacge":
        scanned(f"{'abcdefgh'.index(name)}\n\n" + "H 0 0 0\n" * "abcdefgh".index(name), name)
    assert ExtxyzFiles(str(tmp_path / "?")).scan().atom_counts.tolist() == list(range(8))
    scanned(WATER, "b.xyz")
    scanned(DIMER, "a.xyz")
    paths = (str(tmp_path / "b.xyz"), str(tmp_path / "a.xyz"))
    listed, globbed = ExtxyzFiles(paths), ExtxyzFiles(str(tmp_path / "?.xyz"))
    assert listed.scan().atom_counts.tolist() == [3, 2]
    assert globbed.scan().atom_counts.tolist() == [2, 3]
    assert read_all(listed, listed.scan()).numbers.tolist() == [8, 1, 1, 7, 7]


def test_a_path_that_leads_nowhere_is_refused(tmp_path):
    for path in (str(tmp_path / "no.xyz"), str(tmp_path / "*.xyz"), str(tmp_path)):
        with pytest.raises(SourceError, match=r"does not exist|use a glob"):
            ExtxyzFiles(path).scan()
    for path in ((), "", ("a", 3)):
        with pytest.raises(CampaignError, match="path must be"):
            ExtxyzFiles(path)


def test_the_awkward_files_give_structures_or_problems_but_no_crash(shared_data, tmp_path):
    files = sorted((shared_data / "awkward").glob("*.xyz*"))
    source = ExtxyzFiles(tuple(map(str, files)))
    index = source.scan(scratch=tmp_path)
    batch = read_all(source, index, records=True)
    of_file = {f.name: [] for f in files}
    for k, number in enumerate(index.locators[:, 0]):
        of_file[files[number].name].append(batch.problems.get(k))
    unreadable = {n for n, problems in of_file.items() if any(problems)}
    assert unreadable == {
        "binary_garbage.xyz", "broken.xyz.gz", "empty.xyz", "fhiaims_named.xyz",
        "missing_columns.xyz", "qm9_star_caret.xyz", "truncated.xyz", "unknown_species.xyz",
        "wrong_count.xyz",
    }  # fmt: skip
    assert_geometry_equals_records(source, index)


@pytest.mark.parametrize("value", ["6", "-1.5", "T", '"1 2"', "{1 2}", "species:S:1:pos:R:0", ""])
def test_columns_that_crash_the_c_parser_do_not_get_there(scanned, value):
    source, index = scanned(f'1\nProperties={value} pbc="F F F"\nH 0 0 0\n{DIMER}')
    for records in (False, True):
        batch = read_all(source, index, records)
        assert set(batch.problems) <= {0}
        assert batch.numbers.tolist()[1:] == [7, 7]
