"""Faults of the input: what cannot be used is named with its file, all else is computed."""

from __future__ import annotations

import gzip
import io
import lzma
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import ase.db
import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from rich.console import Console

from distdesc.engine.events import Announced, RunStarted
from distdesc.engine.run import run
from distdesc.engine.verify import verify
from distdesc.errors import RunError, SourceBusyError, SourceError, StoreError
from distdesc.report.reader import open_run
from distdesc.report.summary import summarise
from distdesc.report.text import quarantine_table, summary_table
from distdesc.structures import _ase_databases
from distdesc.structures.index import SourceIndex
from distdesc.structures.places import REFUSED, Places

HEADER = 'Properties=species:S:1:pos:R:3 pbc="F F F"'
WATER = f"3\n{HEADER}\nO 0.0 0.0 0.1173\nH 0.0 0.7572 -0.4692\nH 0.0 -0.7572 -0.4692\n"
DIMER = f"2\n{HEADER}\nN 0.0 0.0 0.0\nN 0.0 0.0 1.1\n"
CRYSTAL = (
    '2\nLattice="{} 0 0 0 4.1 0 0 0 {}" Properties=species:S:1:pos:R:3 pbc="T T T"\n'
    "Cs 0.5 0 0\nCl 2.5 2 2\n"
)
CRYSTALS = {
    "right_handed.xyz": CRYSTAL.format("4", "4.2"),
    "left_handed.xyz": CRYSTAL.format("4", "-4.2"),
    "no_cell.xyz": CRYSTAL.format("4", "0"),
}


@pytest.fixture
def featurise(make, tmp_path):
    def build(path, **changes):
        changes = {"descriptor__order": 2, "descriptor__elements": [], **changes}
        path = path if isinstance(path, list) else str(path)
        return make(**{"source__name": "files", "source__path": path, **changes})

    return build


def outcomes(store: Path) -> dict[str, list[str]]:
    """What became of each structure of each file: "ok", or the reason; no row is left out."""
    found = open_run(store)
    assert found.complete
    summary = summarise(found)
    status = found.status("fingerprint")
    structure, _ = found.locate(np.arange(found.n_environments))
    places = Places.of(SourceIndex.load(store / "run" / "index"))
    table: dict[str, list[str]] = {}
    for k in range(found.n_structures):
        file, position = places.find(k)
        reasons = table.setdefault(Path(file).name, [])
        assert len(reasons) == position
        reasons.append(summary.quarantined.get(k, "ok"))
        # Every row of it is computed, or none is and says so.
        assert set(status[structure == k]) <= ({0} if reasons[-1] == "ok" else {2})
    assert {k: (Path(f).name, p) for k, (f, p) in summary.places.items()} == {
        k: (Path(places.find(k)[0]).name, places.find(k)[1]) for k in summary.quarantined
    }
    return table


def assert_outcomes(found: dict[str, list[str]], expected: dict[str, list[str]]) -> None:
    assert sorted(found) == sorted(expected)
    for file, reasons in expected.items():
        assert len(found[file]) == len(reasons), file
        for reason, pattern in zip(found[file], reasons, strict=True):
            assert re.search(f"^{pattern}$" if pattern == "ok" else pattern, reason), (file, reason)


def write_folder(folder: Path) -> None:
    """A file of each kind of fault, between files that are good."""
    text = {
        "a_good.xyz": WATER + DIMER,
        "cut_in_mid_frame.xyz": WATER + DIMER[:60],
        "cut_in_its_only_frame.xyz": WATER[:70],
        "too_many_announced.xyz": WATER.replace("3\n", "4\n", 1) + DIMER,
        "too_few_announced.xyz": WATER.replace("3\n", "2\n", 1) + DIMER,
        "mixed_line_ends.xyz": WATER.replace("\n", "\r\n") + DIMER + WATER,
        "old_mac_line_ends.xyz": WATER.replace("\n", "\r"),
        "nan.xyz": WATER.replace("0.1173", "nan") + DIMER,
        "far.xyz": WATER.replace("0.1173", "1e300") + DIMER,
        "empty.xyz": "",
        "blank.xyz": "\n \n",
        "words.txt": "some words\n",
        "no_database.db": "text " * 300,
        "labels.json": '{"a": 1}',
        "z_good.xyz": DIMER,
        **CRYSTALS,
    }
    for name, content in text.items():
        (folder / name).write_bytes(content.encode())
    many = "".join(WATER.replace("0.1173", f"{0.1 + k / 1e6:.9f}") for k in range(40)).encode()
    for name, pack in {"cut.xyz.gz": gzip.compress, "cut.xyz.xz": lzma.compress}.items():
        packed = pack(many)
        (folder / name).write_bytes(packed[: len(packed) * 2 // 3])
    (folder / "cut_early.xyz.gz").write_bytes(gzip.compress(many)[:15])
    (folder / "whole.xyz.gz").write_bytes(gzip.compress(DIMER.encode()))
    (folder / "deeper").mkdir()
    ase.io.write(folder / "deeper" / "copper.cif", bulk("Cu"))
    (folder / "deeper" / ".hidden").write_text("is left out")
    for name, images in {
        "rows.db": [Atoms("N2", [[0, 0, 0], [0, 0, 1.1]])],
        "no_rows.db": [],
    }.items():
        with ase.db.connect(folder / name) as database:
            for atoms in images:
                database.write(atoms)
            database.count()


EXPECTED = {
    "a_good.xyz": ["ok", "ok"],
    "blank.xyz": [f"^{REFUSED}: .*blank.xyz is empty"],
    "cut_early.xyz.gz": [f"^{REFUSED}: .*cut_early.xyz.gz is damaged, 0 bytes could be unpacked"],
    "cut_in_mid_frame.xyz": ["ok", "line 6: announces 2 atoms, but line 9 is no"],
    "cut_in_its_only_frame.xyz": [f"^{REFUSED}: .*line 1: announces 3 atoms"],
    "copper.cif": ["ok"],
    "empty.xyz": [f"^{REFUSED}: .*empty.xyz is empty"],
    "far.xyz": [r"position is too far out: atom 0 is at \(0, 0, 1e\+300\) Å, accepted", "ok"],
    "labels.json": [f"^{REFUSED}: .*labels.json is not an ASE database"],
    "left_handed.xyz": ["ok"],
    "mixed_line_ends.xyz": ["ok", "ok", "ok"],
    "nan.xyz": [r"position is not finite: atom 0 is at \(0, 0, nan\) Å", "ok"],
    "no_cell.xyz": ["cell is flat: it is periodic along vector 2, but has the length 0 Å there"],
    "no_database.db": [f"^{REFUSED}: .*no_database.db is not an ASE database"],
    "no_rows.db": [f"^{REFUSED}: .*no_rows.db: no rows"],
    "old_mac_line_ends.xyz": [f"^{REFUSED}: .*line 1: expected a number of atoms, found '3.r"],
    "right_handed.xyz": ["ok"],
    "rows.db": ["ok"],
    "too_few_announced.xyz": ["the frame before announces fewer", "line 5: expected a", "ok"],
    "too_many_announced.xyz": ["line 1: announces 4 atoms, but line 6 is not an atom: '2'", "ok"],
    "whole.xyz.gz": ["ok"],
    "words.txt": [f"^{REFUSED}: .*words.txt: ASE cannot read it: UnknownFileTypeError"],
    "z_good.xyz": ["ok"],
}  # fmt: skip


def test_a_folder_with_every_fault_is_gone_through_and_each_is_named(featurise, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    write_folder(folder)
    campaign = featurise(folder, limits__quarantined_fraction=0.2)
    said: list[str] = []
    run(campaign, [lambda e: said.append(e.text) if isinstance(e, Announced) else None])
    found = outcomes(campaign.path)
    for name in ("cut.xyz.gz", "cut.xyz.xz"):
        # How much comes out depends on the compressor.
        *good, last = found.pop(name)
        assert set(good) <= {"ok"}
        assert f"{name} is damaged" in last
        assert "bytes could be unpacked" in last
    assert_outcomes(found, EXPECTED)
    summary = summarise(open_run(campaign.path))
    assert (summary.files.total, summary.files.refused, summary.files.whole) == (25, 9, 8)
    assert_people_are_told(summary)
    assert any("9 files cannot be read, the first: file refused: " in text for text in said)
    checked = verify(campaign.path, 2)
    assert checked.recomputed
    assert not checked.faults
    before = {f: f.stat().st_mtime_ns for f in campaign.path.rglob("*") if f.is_file()}
    run(campaign)
    assert {f for f, t in before.items() if f.stat().st_mtime_ns != t} <= {
        campaign.path / "run" / "lock.json"
    }


def assert_people_are_told(summary) -> None:
    """Tables and JSON name the file of every structure, and count files and kinds of reasons."""
    console = Console(file=io.StringIO(), width=300)
    console.print(summary_table(summary), quarantine_table(summary, None))
    shown = console.file.getvalue()
    assert "25: 8 all used, 7 used in part, 1 read, but nothing used, 9 refused" in shown
    assert "9 × file refused" in shown
    assert re.search(r"nan\.xyz +0 +position is not finite", shown)
    for entry in summary.to_dict()["quarantined"]:
        assert Path(entry["file"]).name in {*EXPECTED, "cut.xyz.gz", "cut.xyz.xz"}
        assert entry["position"] >= 0
    # Kinds are told without the files and numbers that make each reason different.
    assert not [kind for kind in summary.reasons() if "/" in kind or re.search(r"\d", kind)]


def test_a_copy_is_called_as_what_it_is_a_copy_of_and_no_other_file(featurise, tmp_path):
    for name in ("x.xyz", "000000-x.xyz", "y.xyz"):
        (tmp_path / name).write_text(DIMER)
    for name in ("x.xyz.gz", "a/x.xyz.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(gzip.compress(WATER.encode()))
    campaign = featurise([str(tmp_path / "a"), str(tmp_path / "*.xyz*")])
    run(campaign)
    places = Places.of(SourceIndex.load(campaign.path / "run" / "index"))
    names = [places.find(k) for k in range(5)]
    assert [Path(f).relative_to(tmp_path).as_posix() for f, _ in names] == [
        "a/x.xyz.gz", "000000-x.xyz", "x.xyz", "x.xyz.gz", "y.xyz",
    ]  # fmt: skip
    assert {position for _, position in names} == {0}


def test_a_left_handed_cell_has_the_fingerprints_of_the_right_handed(featurise, tmp_path):
    for name, text in CRYSTALS.items():
        (tmp_path / name).write_text(text)
    campaign = featurise(tmp_path / "*handed.xyz")
    run(campaign)
    found = open_run(campaign.path)
    rows = found.reader.read("fingerprint", 0, 4)
    np.testing.assert_allclose(rows[:2], rows[2:], rtol=1e-10, atol=1e-12)
    assert np.abs(rows).max() > 0


def test_refused_files_do_not_count_as_structures_and_strict_makes_them_an_error(
    featurise, tmp_path
):
    (tmp_path / "good.xyz").write_text(DIMER)
    for name in "abcdefg":
        (tmp_path / f"{name}.xyz").write_text("nothing of use")
    run(featurise(tmp_path / "*.xyz", limits__quarantined_fraction=0.0))
    with pytest.raises(SourceError, match=r"7 of 8 files cannot be read, and strict is set: .*"
                       r"a\.xyz line 1: .*; and 2 more"):  # fmt: skip
        run(featurise(tmp_path / "*.xyz", source__strict=True, store="strict.zarr"))
    (tmp_path / "good.xyz").unlink()
    with pytest.raises(SourceError, match=r"none of 7 files can be read, the first: .*a\.xyz"):
        run(featurise(tmp_path / "*.xyz", store="none.zarr"))


def test_what_is_no_file_is_an_error_by_name(featurise, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(SourceError, match="folder has no files"):
        run(featurise(folder))
    (folder / "good.xyz").write_text(DIMER)
    (folder / "lost.xyz").symlink_to(tmp_path / "nowhere.xyz")
    with pytest.raises(SourceError, match=r"lost\.xyz is a link to nothing"):
        run(featurise(folder))


@pytest.mark.parametrize("name", ["ase_db", "files"])
def test_a_database_that_another_program_has_locked_is_waited_for_and_then_an_error(
    featurise, tmp_path, monkeypatch, name
):
    monkeypatch.setattr(_ase_databases, "PATIENCE", 0.05)
    path = tmp_path / "x.db"
    with ase.db.connect(path) as database:
        database.write(Atoms("N2", [[0, 0, 0], [0, 0, 1.1]]))
    campaign = featurise(path, source__name=name)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SourceBusyError, match=r"x\.db is locked by another program.*again"):
            run(campaign)
        writer.execute("COMMIT")

        def lock(event):
            if isinstance(event, RunStarted):
                writer.execute("BEGIN EXCLUSIVE")

        with pytest.raises(RunError, match=r"x\.db is locked by another program"):
            run(campaign, [lock])
        writer.execute("COMMIT")
    run(campaign)
    assert outcomes(campaign.path) == {"x.db": ["ok"]}


def test_a_database_that_changes_between_scan_and_task_stops_the_run(featurise, tmp_path):
    path = tmp_path / "x.db"
    with ase.db.connect(path) as database:
        database.write(Atoms("N2", [[0, 0, 0], [0, 0, 1.1]]))
    campaign = featurise(path, source__name="ase_db")
    before = tmp_path / "before.db"
    shutil.copy2(path, before)

    def change(event):
        if isinstance(event, RunStarted):
            with ase.db.connect(path) as database:
                database.update(1, Atoms("N2", [[0, 0, 0], [0, 0, 1.2]]))

    with pytest.raises(RunError, match=r"x\.db has changed since it was indexed"):
        run(campaign, [change])
    with pytest.raises(StoreError, match=r"has changed since it was begun: 1 → 1 structures"):
        run(campaign)
    shutil.copy2(before, path)
    run(campaign)
    assert outcomes(campaign.path) == {"x.db": ["ok"]}


@pytest.mark.parametrize(("name", "pattern"), [("files", "*"), ("files", ""), ("extxyz", "*.xyz")])
def test_a_file_that_is_added_between_two_runs_is_noticed(featurise, tmp_path, name, pattern):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.xyz").write_text(DIMER)
    campaign = featurise(folder / pattern, source__name=name)
    run(campaign)
    (folder / "b.xyz").write_text(WATER)
    with pytest.raises(StoreError, match=r"1 → 2 structures.*b\.xyz was not there when"):
        run(campaign)
    (folder / "b.xyz").unlink()
    run(campaign)


def test_a_very_large_structure_beside_small_ones_is_computed_or_named(featurise, tmp_path):
    n = 47
    grid = np.stack(np.meshgrid(*[np.arange(n) * 2.6] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    lines = "".join(f"Fe {x:.1f} {y:.1f} {z:.1f}\n" for x, y, z in grid.tolist())
    large = f"{n**3}\n{HEADER}\n{lines}"
    (tmp_path / "x.xyz").write_text(WATER + large + WATER)
    changes = {"descriptor__cutoff": 2.7, "descriptor__order": 1, "store__shard_rows": 65536,
               "store__chunk_rows": 8192}  # fmt: skip
    campaign = featurise(tmp_path / "x.xyz", limits__max_atoms=n**3, **changes)
    run(campaign)
    found = open_run(campaign.path)
    rows = found.reader.read("fingerprint", 0, found.n_environments)
    assert outcomes(campaign.path) == {"x.xyz": ["ok", "ok", "ok"]}
    assert np.array_equal(rows[:3], rows[-3:])
    few = featurise(
        tmp_path / "x.xyz", store="few.zarr", limits__quarantined_fraction=0.5,
        limits__max_atoms=n**3 - 1, **changes,
    )  # fmt: skip
    run(few)
    assert_outcomes(outcomes(few.path), {"x.xyz": ["ok", f"too many atoms: {n**3}, acc", "ok"]})


AWKWARD = {
    "binary_garbage.xyz": [f"^{REFUSED}: .* line 1: expected a number of atoms, found"],
    "broken.xyz.gz": [f"^{REFUSED}: .* line 1: .*broken.xyz.gz is damaged, 72 bytes could be"],
    "cell_but_not_periodic.xyz": ["ok"],
    "cif_misc_values.cif": [f"^{REFUSED}: .*ASE cannot read it: ValueError: Unexpected CIF"],
    "cod_1011031.cif": ["ok"],
    "cod_2013551.cif": ["ok"],
    "cod_4003024.cif": [r"a site is partly occupied \(Sn 0.9, In 0.0672\)"],
    "coincident_atoms.xyz": ["atoms are too close: 0 Å"],
    "collinear_co2.xyz": ["ok"],
    "crlf.xyz": ["ok"],
    "csd_blatant_outliers.xyz.gz": ["ok"] * 15,
    "empty.xyz": [f"^{REFUSED}: .*empty.xyz is empty"],
    "fhiaims_named.xyz": [f"^{REFUSED}: .* line 1: expected a number of atoms, found '#==="],
    "huge_cell.xyz": ["ok"],
    "index.json": [f"^{REFUSED}: .*index.json is not an ASE database"],
    "isolated_atom.xyz": ["ok"],
    "json_comment_line.xyz": ["ok"] * 5,
    "latin1_comment.xyz": ["ok"],
    "left_handed_cell.xyz": ["ok"],
    "missing_columns.xyz": ["line 1: Properties announces 7 columns, but atom 0 has 4"],
    "nan_energy_forces.xyz": ["ok"],
    "nan_position.xyz": [r"position is not finite: atom 1 is at \(0, nan, -0.4692\) Å"],
    "numeric_species.xyz": ["ok"],
    "occ_alloy_shared_site.cif": [r"a site is partly occupied \(Au 0.5, Cu 0.5\)"],
    "occ_vacancy.cif": [r"a site is partly occupied \(Fe 0.94\)"],
    "pdb_5i55.cif": [f"^{REFUSED}: .*ASE finds no structure in it"],
    "qm9_original_format.xyz": ["ok"],
    "qm9_star_caret.xyz": [r"line 1: .*8.3963\*\^-6"],
    "runner_input.data": ["ok"] * 3,
    "slab_TTF.xyz": ["ok"],
    "tiny_cell.xyz": ["ok"],
    "truncated.xyz": [f"^{REFUSED}: .* line 1: announces 3 atoms, but line 4 is not an atom"],
    "unit_nm.xyz": [r"atoms are too close: 0.0958 Å, .* \(coordinates in nm instead of Å\?\)"],
    "unknown_species.xyz": ["line 1: unknown species 'Xx'"],
    "vasp4_no_symbols.vasp": ["ok"],
    "wrong_count.xyz": ["line 1: announces 4 atoms, but line 6 is not an atom: '3'", "ok"],
    "zero_atoms.xyz": ["no atoms"],
    "zero_cell_pbc.xyz": ["cell is flat: it is periodic along vector 0"],
}
"""What becomes of every structure of files that were collected because they break parsers."""


def test_the_awkward_files_are_gone_through_in_one_campaign_and_each_is_named(
    featurise, shared_data
):
    folders = [str(shared_data / name) for name in ("awkward", "awkward_sets")]
    campaign = featurise(folders, limits__quarantined_fraction=0.3)
    run(campaign)
    assert_outcomes(outcomes(campaign.path), AWKWARD)
    files = summarise(open_run(campaign.path)).files
    assert (files.total, files.refused, files.partly) == (38, 8, 1)
