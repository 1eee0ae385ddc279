"""
Fingerprints decoded: how many, how exactly, how fast, and beside the published decoder.

    python benchmarks/decode.py --milad-python milad/bin/python

takes molecules of the bundled sample of QM9 (or of `--input`), makes one fingerprint of each, with
the ball 2 % beyond its farthest atom from the centroid, and decodes it on one core. A molecule
counts if every atom is within 0.01 Å of its place, after rotation and reflection, and is of the
right element. Times are CPU seconds of the decoding alone.

With `--milad-python`, an interpreter with milad 0.3.1 (see kernel.py), some molecules of the G2 set
(three of them with `--quick`, others with `--names`) are decoded by its `find_iteratively` and by
ours, places alone (all atoms alike) and with elements; see decode_worker.py. Both are judged by the
same distances. The ratio is that of the CPU time per success.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from ase.build import molecule
from ase.io import iread
from kernel import stay_on_one_core

from distdesc.decode.decoder import Decoder
from distdesc.decode.fingerprints import of_descriptor
from distdesc.decode.match import match
from distdesc.descriptors.moment_invariants import MomentInvariants
from distdesc.elements import NUMBERS, SYMBOLS

SAMPLE = Path(__file__).resolve().parent.parent / "jobs" / "data" / "qm9_sample.xyz.xz"
CLOSE = 0.01  # Å

WORKER = Path(__file__).resolve().parent / "decode_worker.py"
ELEMENTS = ("H", "C", "N", "O", "F")
MOLECULES = (
    "H2O", "HCN", "CH3OH", "NH3", "CH4", "H2CO", "HCOOH", "CH3CN", "C2H6", "CH3CONH2", "C6H6",
    "isobutane",
)  # fmt: skip
"""Of the G2 set, 3 to 14 atoms, to decode side by side with milad; the first three in a hurry."""

OURS = (
    ("distdesc, 117 numbers", 7, "independent", False),
    ("distdesc, 319 numbers", 7, "full", True),
    ("distdesc, 1,016 numbers", 9, "full", True),
)
"""Order, invariants, and whether the ball is fitted to each molecule or has 5 Å."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input", type=Path, default=SAMPLE, help="what ASE reads")
    parser.add_argument("--every", type=int, default=10, help="take every so many-th molecule")
    parser.add_argument("--order", type=int, default=9)
    parser.add_argument("--invariants", choices=("full", "independent"), default="full")
    parser.add_argument("--milad-python", type=Path, help="interpreter that has milad")
    parser.add_argument("--quick", action="store_true", help="side by side on three molecules only")
    parser.add_argument("--names", nargs="+", help="of molecules of the G2 set, for these instead")
    args = parser.parse_args()

    if args.milad_python:
        few = tuple(args.names or (MOLECULES[:3] if args.quick else MOLECULES))
        side_by_side(args.milad_python, few)
    if args.quick:
        return
    molecules = [
        (a.numbers.astype(np.int32), a.positions - a.positions.mean(axis=0))
        for a in iread(args.input, index=f"::{args.every}")
        if len(a) > 1
    ]
    elements = sorted({int(z) for numbers, _ in molecules for z in numbers})
    names = tuple(SYMBOLS[z] for z in elements)
    # the first once more before it counts, with everything compiled and all tables built
    rows = [decoded(*m, names, args.order, args.invariants) for m in [molecules[-1], *molecules]]
    table(rows[1:])


def side_by_side(python: Path, names: tuple[str, ...]) -> None:
    """Print successes and times of milad and of ours, on the same molecules."""
    print("| | places | CPU s each | | and elements | CPU s each | |")
    print("|---|---|---|---|---|---|---|")
    told: dict[str, list[str]] = {}
    for species in (False, True):
        molecules = [
            (a.numbers.astype(np.int32) if species else np.full(len(a), 6, np.int32),
             a.positions - a.positions.mean(axis=0))
            for a in (molecule(name) for name in names)
        ]  # fmt: skip
        results = {"milad, 117 numbers": by_milad(python, molecules, species)}
        kind = "weights" if species else "none"
        for name, order, invariants, fitted in OURS:
            few = [molecules[-1], *molecules]
            rows = [decoded(*m, ELEMENTS, order, invariants, fitted, kind) for m in few]
            results[name] = rows[1:]
        slow = per_success(results["milad, 117 numbers"])
        for name, rows in results.items():
            spent = per_success(rows)
            good = f"{sum(ok for _, ok, _ in rows)} of {len(rows)}"
            told.setdefault(name, []).extend([good, f"{spent:.3g}", f"{slow / spent:.0f} ×"])
    for name, cells in told.items():
        print("| " + " | ".join([name, *cells]) + " |")


def per_success(rows: list[tuple[int, bool, float]]) -> float:
    """CPU seconds, failures included, to each success."""
    return sum(t for _, _, t in rows) / max(1, sum(ok for _, ok, _ in rows))


def decoded(
    numbers: np.ndarray, positions: np.ndarray, elements: tuple[str, ...], order: int, kind: str,
    fitted: bool = True, species: str = "weights",
) -> tuple[int, bool, float]:  # fmt: skip
    """Number of atoms, whether all came back, and CPU seconds."""
    radius = 1.02 * np.linalg.norm(positions, axis=1).max() if fitted else 5.0
    descriptor = MomentInvariants(
        cutoff=radius, order=order, smoothing=0.0, invariants=kind, elements=elements,
        species=species,
    )  # fmt: skip
    weights = descriptor.weight_table()[numbers]
    fingerprint = of_descriptor(descriptor).of_points(positions / radius, weights)
    decoder = Decoder(descriptor)
    start = time.process_time()
    found = decoder.decode(fingerprint)
    spent = time.process_time() - start
    return (
        len(numbers),
        came_back(found.numbers, found.positions, numbers, positions, species),
        spent,
    )


def came_back(
    numbers: np.ndarray, positions: np.ndarray, true_numbers: np.ndarray, truth: np.ndarray,
    species: str = "weights",
) -> bool:  # fmt: skip
    """Whether every atom is in its place, and of its element if these are told."""
    if species == "none":
        numbers, true_numbers = 0 * numbers, 0 * true_numbers
    errors = match(positions, numbers, truth, true_numbers)
    return bool(errors.max_error < CLOSE and errors.species_ok)


def table(rows: list[tuple[int, bool, float]]) -> None:
    """Print successes and times by number of atoms."""
    sizes, good, spent = (np.array(column) for column in zip(*rows, strict=True))
    print(f"{'atoms':>8}{'decoded':>12}{'median ms':>12}{'largest ms':>12}")
    edges = [1, 6, 9, 12, 15, 18, 21, 24, 200]
    for low, high in itertools.pairwise(edges):
        these = (sizes >= low) & (sizes < high)
        if these.any():
            line(f"{low}-{min(high - 1, sizes.max())}", good[these], spent[these])
    line("all", good, spent)


def line(name: str, good: np.ndarray, spent: np.ndarray) -> None:
    """Print one row."""
    share = f"{good.sum()}/{len(good)}"
    print(f"{name:>8}{share:>12}{np.median(spent) * 1e3:12.1f}{spent.max() * 1e3:12.0f}")


def by_milad(
    python: Path, molecules: list[tuple[np.ndarray, np.ndarray]], species: bool
) -> list[tuple[int, bool, float]]:
    """The same by milad in its own interpreter."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "molecules.json"
        pairs = [(z.tolist(), r.tolist()) for z, r in molecules]
        told = {"elements": [NUMBERS[e] for e in ELEMENTS], "species": species, "molecules": pairs}
        data.write_text(json.dumps(told))
        command = [python, "-W", "ignore", WORKER, data]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = []
    for line, (z, r) in zip(result.stdout.splitlines(), molecules, strict=True):
        numbers, positions, _, spent = json.loads(line)
        # its places are about its own middle, which drifts
        places = np.array(positions) - np.mean(positions, axis=0)
        good = came_back(np.array(numbers, dtype=np.int32), places, z, r)
        rows.append((len(z), good, spent))
    return rows


if __name__ == "__main__":
    stay_on_one_core()
    main()
