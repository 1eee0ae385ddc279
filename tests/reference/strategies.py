"""Strategies of hypothesis for structures, for what they carry, and for files good and bad."""

from __future__ import annotations

import bz2
import gzip
import lzma

import numpy as np
import pytest
from ase import Atoms
from ase.spacegroup import Spacegroup
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from distdesc.structures.source import Structure

SPACING = 1.5
"""Of the grid that atoms are placed about, in Å."""

PACKERS = {".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}

NAMES = [
    *(f"x.xyz{end}" for end in ("", ".gz", ".xz", ".bz2")), "x.extxyz", "x.db", "x.json",
    "x.aselmdb", "x.cif", "x.cif.gz", "x.vasp", "POSCAR", "x.data", "x.traj", "x.txt", "x",
    "OUTCAR", "geometry.in", "x.pdb", "x.gen", "x.xsf", "x.cube", "x.res", "x.zarr",
]  # fmt: skip
"""Names of files of many formats."""


def few_or_many(few: int, many: int) -> pytest.MarkDecorator:
    """Parametrise a test by its number of examples: some always, more where it is slow."""
    marks = [pytest.mark.slow, pytest.mark.timeout(3600)]
    return pytest.mark.parametrize("n", [few, pytest.param(many, marks=marks)])


def checked(n: int) -> settings:
    """Settings of a property: the same examples each time, and no clock."""
    return settings(
        max_examples=n, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


@st.composite
def valid_atoms(draw, symbols="HCNO", most=10) -> Atoms:
    """Structures that any descriptor takes: molecules, chains, slabs, crystals of either hand."""
    grid = st.tuples(*[st.integers(0, 3)] * 3)
    sites = draw(st.lists(grid, min_size=1, max_size=most, unique=True))
    shift = st.floats(-0.35, 0.35)
    moved = draw(st.lists(st.tuples(*[shift] * 3), min_size=len(sites), max_size=len(sites)))
    names = draw(st.lists(st.sampled_from(symbols), min_size=len(sites), max_size=len(sites)))
    atoms = Atoms(names, SPACING * np.array(sites) + np.array(moved))
    pbc = draw(st.tuples(*[st.booleans()] * 3))
    if any(pbc):
        cell = np.diag([4 * SPACING] * 3) + SPACING * np.tril(
            np.array(draw(st.lists(st.integers(-1, 1), min_size=9, max_size=9))).reshape(3, 3), -1
        )
        flip = draw(st.sampled_from([1.0, -1.0]))
        atoms.cell, atoms.pbc = cell * [[1.0], [1.0], [flip]], pbc
    return atoms


NUMBERS = st.one_of(st.floats(), st.floats(width=32), st.sampled_from([-0.0, np.inf, -np.inf]))
DTYPES = st.sampled_from(["f8", "f4", "i8", "i4", "u1", "?", "U3"])


@st.composite
def arrays(draw, first: int | None = None) -> np.ndarray:
    """Arrays of any type that can be kept, the first length given or not."""
    shape = draw(st.lists(st.integers(0, 3), max_size=2))
    shape = [first, *shape[:1]] if first is not None else shape
    size = int(np.prod(shape))
    dtype = np.dtype(draw(DTYPES))
    kinds = {
        "f": NUMBERS, "i": st.integers(-(2**31), 2**31 - 1), "u": st.integers(0, 255),
        "b": st.booleans(), "U": st.text(max_size=3).filter(lambda t: not t.endswith("\0")),
    }  # fmt: skip
    values = draw(st.lists(kinds[dtype.kind], min_size=size, max_size=size))
    with np.errstate(all="ignore"):
        return np.array(values, dtype=dtype).reshape(shape)


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), NUMBERS, st.text(max_size=5),
    st.floats().map(np.float64), st.integers(-(2**31), 2**31 - 1).map(np.int32),
    st.booleans().map(np.bool_), st.integers(1, 230).map(Spacegroup),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS | arrays(),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=3) | st.integers(0, 9), inner, max_size=3),
    ),
    max_leaves=5,
)
KEYS = st.text(min_size=1, max_size=6)


@st.composite
def structures(draw) -> Structure:
    """Structures of any numbers at all, and all that they may carry."""
    n = draw(st.integers(0, 4))
    rows = st.lists(st.tuples(*[NUMBERS] * 3), min_size=n, max_size=n)
    cell = draw(st.lists(NUMBERS, min_size=9, max_size=9))
    numbers = draw(st.lists(st.integers(0, 200), min_size=n, max_size=n))
    names = st.sampled_from(["tags", "forces", "charges", "x"])
    return Structure(
        np.array(numbers, dtype=np.int64),
        np.array(draw(rows), dtype=np.float64).reshape(n, 3),
        np.array(cell).reshape(3, 3),
        np.array(draw(st.tuples(*[st.booleans()] * 3))),
        draw(st.dictionaries(KEYS | st.just("key_value_pairs"), VALUES, max_size=4)),
        draw(st.dictionaries(names, arrays(n), max_size=2)),
        draw(st.dictionaries(st.sampled_from(["energy", "forces", "stress", "charges"]),
                             SCALARS | arrays() | arrays(n), max_size=3)),
    )  # fmt: skip


COORDINATES = st.one_of(
    st.floats(-9, 9).map(lambda x: f"{x:.4f}"),
    st.sampled_from(["nan", "inf", "1e300", "-0", "1d5", "x", "1e999", "*^-6", ""]),
)
HEADERS = st.sampled_from([
    "", "a comment", "Properties=species:S:1:pos:R:3", 'Properties=species:S:1:pos:R:3 pbc="F F F"',
    'Lattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3:forces:R:3 energy=1',
    'Lattice="4 0 0 0 4 0 0 0 -4.5" pbc="T T F"', 'Lattice="0 0 0 0 0 0 0 0 0"', "Properties=6",
    "Properties=species:S:1:pos:R:3:tags:I:1", 'Lattice="1 2 3"', "Properties=pos:R:3", "3",
    "André",
])  # fmt: skip
ENDS = st.sampled_from(["\n", "\r\n", "\n", "\r", "\n\n", " \n", ""])


@st.composite
def frames(draw) -> str:
    """Frames of extended XYZ, of which most have something wrong."""
    n = draw(st.integers(0, 3))
    symbol = st.sampled_from(["H", "Cl", "8", "Xx", "h"])
    columns = [draw(st.sampled_from([3, 3, 6, 2])) for _ in range(n)]
    lines = [" ".join([draw(symbol), *(draw(COORDINATES) for _ in range(m))]) for m in columns]
    count = n + draw(st.sampled_from([0, 0, 0, 0, 1, -1, 10**9]))
    return "".join(line + draw(ENDS) for line in (str(count), draw(HEADERS), *lines))


@st.composite
def extxyz_files(draw) -> bytes:
    """Extended XYZ, whole or cut anywhere, with noise between its frames or without."""
    noise = st.sampled_from(
        ["", "", "", "\n", "words\n", "7\n", "\0\0", "H 0 0 0\n", "\ufeff", "1 \n"]
    )
    parts = draw(st.lists(st.tuples(frames(), noise), max_size=4))
    data = "".join(f"{frame}{between}" for frame, between in parts)
    encoded = data.encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-16"])), "replace")
    return encoded[: draw(st.integers(0, len(encoded)))] if draw(st.booleans()) else encoded


@st.composite
def any_files(draw) -> tuple[str, bytes]:
    """A name, and bytes that may or may not be what it says, whole, cut or with a byte changed."""
    name = draw(st.sampled_from(NAMES))
    data = draw(st.binary(max_size=200) | extxyz_files() | st.sampled_from(BEGINNINGS))
    pack = PACKERS.get("." + name.rpartition(".")[2])
    data = pack(data) if pack and draw(st.booleans()) else data
    if data and draw(st.booleans()):
        data = data[: draw(st.integers(0, len(data)))]
    if data and draw(st.booleans()):
        k = draw(st.integers(0, len(data) - 1))
        data = data[:k] + bytes([draw(st.integers(0, 255))]) + data[k + 1 :]
    return name, data


BEGINNINGS = [
    b"SQLite format 3\0" + bytes(84),
    b"- of UlmASE-Trajectory" + bytes(60),
    b'{"1": {"numbers": [1]}}',
    b'{"ids": [1], "nextid": 2, "1": {}}',
    b"data_x\nloop_\n_atom_site_label\n_atom_site_fract_x\nH1 0\n",
    b"data_\n_cell_length_a 1\n",
    b"Cu\n1.0\n1 0 0\n0 1 0\n0 0 1\n1\nDirect\n0 0 0\n",
    b"Cu\n1\n1 0 0\n0 1 0\n0 0 1\n99999999\nDirect\n0 0 0\n",
    b"begin\nlattice 1 0 0\natom 0 0 0 H 0 0 0 0 0\n",
    b"ATOM      1  N   ALA A   1      11.104   6.134  -6.504  1.00  0.00           N\n",
    b"1 C\nH\n1 1 0 0 0\n",
    b"CRYSTAL\nPRIMVEC\n1 0 0\n0 1 0\n0 0 1\nPRIMCOORD\n1 1\n1 0 0 0\n",
    b"x\ny\n9999 0 0 0\n9999 1 0 0\n9999 0 1 0\n1 0 0 1\n1 0 0 0 0\n",
    b"lattice_vector 1 0 0\natom 0 0 0 H\n",
]
"""How files of other formats begin."""
