"""
Fingerprints decoded: how many, how exactly, how fast, and beside the published decoder.

    python benchmarks/decode.py --milad-python milad/bin/python

takes molecules of the bundled sample of QM9 (or of `--input`), makes one fingerprint of each, with
the ball 2 % beyond its farthest atom from the centroid, and decodes it on one core. A molecule
counts if every atom is within 0.01 Å of its place, after rotation and reflection, and is of the
right element. Times are CPU seconds of the decoding alone.

With `--milad-python`, an interpreter with milad 0.3.1 (see kernel.py), the smallest
`--milad-molecules` are also decoded by its `find_iteratively`, positions and species, as in its
paper: 117 invariants of order 7, 5 Å, a random start, the number of atoms given; it counts if its
fingerprint agrees to 1e-6. The ratio is that of the CPU time per success on the same molecules.
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
from ase.io import iread
from kernel import stay_on_one_core

from distdesc.decode.decoder import Decoder
from distdesc.decode.fingerprints import of_descriptor
from distdesc.decode.match import match
from distdesc.descriptors.moment_invariants import MomentInvariants
from distdesc.elements import SYMBOLS

SAMPLE = Path(__file__).resolve().parent.parent / "jobs" / "data" / "qm9_sample.xyz.xz"
CLOSE = 0.01  # Å

MILAD = """
import sys, time, json, numpy as np, milad
from milad import atomic, reconstruct
data = json.load(open(sys.argv[1]))
finger = milad.descriptor(
    species={"map": {"numbers": tuple(data["elements"]), "range": (1.0, 2.0)}}, cutoff=5.0)
query = None
for k, (numbers, positions) in enumerate(data["molecules"]):
    numbers, positions = np.array(numbers), np.array(positions)
    n = len(numbers)
    target = finger(atomic.AtomsCollection(n, positions=positions, numbers=numbers))
    rng = np.random.default_rng(k)
    start = rng.normal(size=(n, 3))
    start *= (np.cbrt(rng.uniform(size=n)) / np.linalg.norm(start, axis=1))[:, None]
    start *= np.linalg.norm(positions, axis=1).max()
    initial = atomic.AtomsCollection(
        n, positions=start - start.mean(axis=0), numbers=rng.choice(data["elements"], n))
    if query is None:
        moments = finger.get_moments(initial)
        query = moments.create_reconstruction_query(moments.get_grid(31), moments.max_order)
        finger(initial, jacobian=True)
    begin = time.process_time()
    result = reconstruct.find_iteratively(
        finger, target, initial, find_species=True, grid_query=query)
    print(json.dumps([n, time.process_time() - begin, float(result.rmsd)]), flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input", type=Path, default=SAMPLE, help="what ASE reads")
    parser.add_argument("--every", type=int, default=10, help="take every so many-th molecule")
    parser.add_argument("--order", type=int, default=9)
    parser.add_argument("--invariants", choices=("full", "independent"), default="full")
    parser.add_argument("--milad-python", type=Path, help="interpreter that has milad")
    parser.add_argument("--milad-molecules", type=int, default=5)
    args = parser.parse_args()

    molecules = [
        (a.numbers.astype(np.int32), a.positions - a.positions.mean(axis=0))
        for a in iread(args.input, index=f"::{args.every}")
        if len(a) > 1
    ]
    elements = sorted({int(z) for numbers, _ in molecules for z in numbers})
    names = tuple(SYMBOLS[z] for z in elements)
    rows = [decoded(*m, names, args.order, args.invariants) for m in [molecules[-1], *molecules]]
    table(rows[1:])
    if args.milad_python:
        few = sorted(molecules, key=lambda m: len(m[0]))[: args.milad_molecules]
        ours = [decoded(*m, names, args.order, args.invariants) for m in few]
        theirs = by_milad(args.milad_python, few, elements)
        print(f"\n{'':12}{'success':>10}{'CPU s per success':>20}")
        spent = {}
        for name, results in (("distdesc", ours), ("milad", theirs)):
            good = sum(ok for _, ok, _ in results)
            spent[name] = sum(t for _, _, t in results) / max(good, 1)
            print(f"{name:12}{good:6d}/{len(few):<3d}{spent[name]:20.4f}")
        print(f"ratio {spent['milad'] / spent['distdesc']:.0f}")


def decoded(
    numbers: np.ndarray, positions: np.ndarray, elements: tuple[str, ...], order: int, kind: str
) -> tuple[int, bool, float]:
    """Number of atoms, whether all came back, and CPU seconds."""
    radius = 1.02 * np.linalg.norm(positions, axis=1).max()
    descriptor = MomentInvariants(
        cutoff=radius, order=order, smoothing=0.0, invariants=kind, elements=elements
    )
    weights = descriptor.weight_table()[numbers]
    fingerprint = of_descriptor(descriptor).of_points(positions / radius, weights)
    decoder = Decoder(descriptor)
    start = time.process_time()
    found = decoder.decode(fingerprint)
    spent = time.process_time() - start
    errors = match(found.positions, found.numbers, positions, numbers)
    return len(numbers), errors.max_error < CLOSE and errors.species_ok, spent


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
    python: Path, molecules: list[tuple[np.ndarray, np.ndarray]], elements: list[int]
) -> list[tuple[int, bool, float]]:
    """The same by milad in its own interpreter; the fingerprint is its judge."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "molecules.json"
        pairs = [(z.tolist(), r.tolist()) for z, r in molecules]
        data.write_text(json.dumps({"elements": elements, "molecules": pairs}))
        command = [python, "-W", "ignore", "-c", MILAD, data]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [json.loads(row) for row in result.stdout.splitlines()]
    return [(n, rmsd < 1e-6, spent) for n, spent, rmsd in rows]


if __name__ == "__main__":
    stay_on_one_core()
    main()
