"""
Structures per second of every source, next to what ASE reaches on the same file.

    python benchmarks/sources.py [--input FILE.xyz[.xz]] [--structures 5000]

writes the first structures of the input (repeated, if there are too few) as extended XYZ, as an
ASE database, as .aselmdb, as a trajectory, and as an ingested structure store, and prints one
table: indexing (scan), reading geometry, reading records with all their data, and the ratio of
each to ``ase.io.iread`` (extended XYZ, trajectory) or ``ase.db``'s ``select`` (databases). Small
files of ``ase_any`` are parsed once a process and kept, which is what its reading shows. Times
are CPU seconds of this process, best of three; the file is in the page cache.
"""

from __future__ import annotations

import argparse
import itertools
import lzma
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.db
import ase.io

from distdesc.campaign import Campaign
from distdesc.engine.run import run
from distdesc.registry import build
from distdesc.structures import SOURCES
from distdesc.structures.extxyz import ExtxyzFiles
from distdesc.structures.records import to_atoms

SAMPLE = Path(__file__).resolve().parent.parent / "jobs" / "data" / "qm9_sample.xyz.xz"
BATCH = 2048


def write_inputs(folder: Path, source: Path, n: int) -> dict[str, tuple[str, Path]]:
    """Name of the source, and file, by the name of the row."""
    data = source.read_bytes()
    data = lzma.decompress(data) if source.suffix == ".xz" else data
    plain = folder / "one.xyz"
    plain.write_bytes(data)
    reader = ExtxyzFiles(str(plain))
    index = reader.scan()
    records = reader.read(index, 0, min(n, len(index)), records=True).records or ()
    images = [to_atoms(r) for r in records if r is not None]
    images = list(itertools.islice(itertools.cycle(images), n))
    files = {
        "extxyz": ("extxyz", folder / "x.xyz"),
        "ase_db (SQLite)": ("ase_db", folder / "x.db"),
        "aselmdb": ("aselmdb", folder / "x.aselmdb"),
        "ase_any (traj)": ("ase_any", folder / "x.traj"),
        "structure_store": ("structure_store", folder / "x.zarr"),
    }
    # The text itself, not what ASE would write of it.
    bytes_of = [tuple(place) for place in index.locators[: len(images), 1:3].tolist()]
    with (folder / "x.xyz").open("wb") as file:
        for start, stop in itertools.islice(itertools.cycle(bytes_of), n):
            file.write(data[start:stop])
    ase.io.write(folder / "x.traj", images)
    for name in ("x.db", "x.aselmdb"):
        with ase.db.connect(folder / name, use_lock_file=False) as database:
            for atoms in images:
                database.write(atoms)
    run(
        Campaign.from_dict(
            {
                "source": {"name": "extxyz", "path": str(folder / "x.xyz")},
                "stage": [{"name": "ingest"}],
                "store": {"path": str(folder / "x.zarr")},
                "execution": {"executor": "serial"},
            }
        )
    )
    return files


def seconds(function: Callable[[], Any]) -> float:
    """Least CPU time of three."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        function()
        best = min(best, time.process_time() - start)
    return best


def read_by_ase(path: Path) -> int:
    if path.suffix in (".db", ".aselmdb"):
        options = {"readonly": True} if path.suffix == ".aselmdb" else {}
        database = ase.db.connect(path, use_lock_file=False, **options)
        n = sum(1 for row in database.select() if row.toatoms() is not None)
        if options:
            database.close()
        return n
    return sum(1 for _ in ase.io.iread(path, ":"))


def measure(name: str, path: Path) -> tuple[float, float, float]:
    """Structures per second of scan, read, and read with records."""
    source = build(SOURCES, "source", {"name": name, "path": str(path)})
    index = source.scan()

    def read(records: bool) -> None:
        for start in range(0, len(index), BATCH):
            source.read(index, start, min(start + BATCH, len(index)), records)

    times = (
        seconds(source.scan),
        seconds(lambda: read(False)),
        seconds(lambda: read(True)),
    )
    scan, geometry, everything = (len(index) / t for t in times)
    return scan, geometry, everything


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--input", type=Path, default=SAMPLE)
    parser.add_argument("--structures", type=int, default=5000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = write_inputs(Path(folder), options.input, options.structures)
        print(f"{'structures/s':16} {'ASE':>8} {'scan':>16} {'read':>16} {'records':>16}")
        for row, (name, path) in files.items():
            if path.is_file():
                reference = read_by_ase(path) / seconds(lambda path=path: read_by_ase(path))
            else:
                # There is nothing of ASE's to read a store with; next to its extended XYZ.
                xyz = files["extxyz"][1]
                reference = read_by_ase(xyz) / seconds(lambda xyz=xyz: read_by_ase(xyz))
            rates = "".join(f"{r:10,.0f} {r / reference:5.1f}×" for r in measure(name, path))
            print(f"{row:16} {reference:8,.0f} {rates}")


if __name__ == "__main__":
    main()
