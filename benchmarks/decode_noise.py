"""
Fingerprints with noise, decoded: how far the atoms are from their places, level by level.

    python benchmarks/decode_noise.py                                  the bundled sample of QM9
    python benchmarks/decode_noise.py --input molecules.xyz --every 60

Each molecule's fingerprint (order 9, all invariants of degree up to three, a ball 2 % beyond the
farthest atom from the centroid) is decoded after every feature was multiplied by one plus Gaussian
noise of the given standard deviation; "float32" is rounded to single precision instead. The
decoder is told the standard deviation, and for single precision nothing. Errors are the largest
distance of an atom from its place after rotation, reflection and exchange of like atoms; molecules
that are not found, or with another number of atoms, count with an infinite error, and those whose
elements are not all right are not within any distance.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from ase.io import iread
from kernel import stay_on_one_core

from distdesc.decode.decoder import Decoded, Decoder
from distdesc.decode.fingerprints import of_descriptor
from distdesc.decode.match import match
from distdesc.descriptors.moment_invariants import MomentInvariants
from distdesc.elements import SYMBOLS

SAMPLE = Path(__file__).resolve().parent.parent / "jobs" / "data" / "qm9_sample.xyz.xz"
LEVELS = (0.0, 1e-8, 6e-8, 1e-6, 1e-5, 1e-4, 1e-3)
SINGLE = "float32"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input", type=Path, default=SAMPLE, help="what ASE reads")
    parser.add_argument("--every", type=int, default=9, help="take every so many-th molecule")
    parser.add_argument("--order", type=int, default=9)
    parser.add_argument("--levels", type=float, nargs="*", default=LEVELS)
    arguments = parser.parse_args()
    molecules = [
        (a.numbers.astype(np.int32), a.positions - a.positions.mean(axis=0))
        for a in iread(arguments.input, index=f"::{arguments.every}")
        if len(a) > 1
    ]
    elements = sorted({int(z) for numbers, _ in molecules for z in numbers})
    names = tuple(SYMBOLS[z] for z in elements)
    print(f"{len(molecules)} molecules, {', '.join(names)}, order {arguments.order}\n")
    print(
        "| noise | median error, Å | within 0.01 Å | within 0.1 Å | exact | approximate | failed |"
    )
    print("|---|---|---|---|---|---|---|")
    for level in (*arguments.levels, SINGLE):
        print(
            row(level, [one(k, *m, level, names, arguments.order) for k, m in enumerate(molecules)])
        )


def one(
    k: int, numbers: np.ndarray, positions: np.ndarray, level: float | str,
    elements: tuple[str, ...], order: int,
) -> tuple[Decoded, float]:  # fmt: skip
    """What a molecule was decoded to, and its largest error."""
    radius = 1.02 * np.linalg.norm(positions, axis=1).max()
    descriptor = MomentInvariants(
        cutoff=radius, order=order, smoothing=0.0, invariants="full", elements=elements
    )
    weights = descriptor.weight_table()[numbers]
    fingerprint = of_descriptor(descriptor).of_points(positions / radius, weights)
    noise = 0.0
    if level == SINGLE:
        fingerprint = fingerprint.astype(np.float32)
    else:
        noise = float(level)
        rng = np.random.default_rng(k)
        fingerprint = fingerprint * (1 + noise * rng.standard_normal(len(fingerprint)))
    found = Decoder(descriptor, noise=noise).decode(fingerprint)
    errors = match(found.positions, found.numbers, positions, numbers)
    return found, errors.max_error if errors.species_ok else np.inf


def row(level: float | str, results: list[tuple[Decoded, float]]) -> str:
    """Line of the table."""
    errors = np.array([error for _, error in results])
    verdicts = [found.verdict.value for found, _ in results]
    n = len(results)
    cells = [
        f"{level:.0e}" if isinstance(level, float) else level,
        f"{np.median(errors):.1e}",
        *(f"{np.sum(errors <= limit)} of {n}" for limit in (0.01, 0.1)),
        *(str(verdicts.count(name)) for name in ("exact", "approximate", "failed")),
    ]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    stay_on_one_core()
    main()
