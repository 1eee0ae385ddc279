"""
Bispectrum and trispectrum next to the power spectrum: ``python benchmarks/correlations.py``.

Random environments of 16 neighbours within 5 Å, of one element or of two; one core. Times are those
of the processor, relative to the power spectrum of eight radial functions and l to 6 of the same
environments in the same run; J is how many times as long as a fingerprint a Jacobian takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from distdesc.descriptors.bispectrum import Bispectrum
from distdesc.descriptors.power_spectrum import PowerSpectrum
from distdesc.descriptors.trispectrum import Trispectrum
from distdesc.structures.environment import Environments

N_NEIGHBOURS = 16
CASES = [
    (Bispectrum, 4, 4), (Bispectrum, 6, 4), (Bispectrum, 8, 6), (Trispectrum, 2, 2),
    (Trispectrum, 2, 3), (Trispectrum, 3, 3),
]  # fmt: skip


def main() -> None:
    print("             densities n_max l_max features   time     J")
    for elements in (("H",), ("H", "C")):
        environments = random_environments(1024, len(elements))
        unit = best(lambda e=environments, s=elements: PowerSpectrum(elements=s).compute(e))
        for kind, n_max, l_max in CASES:
            descriptor = kind(elements=elements, n_max=n_max, l_max=l_max)
            value = best(lambda d=descriptor, e=environments: d.compute(e))
            few = random_environments(32, len(elements))
            slope = best(lambda d=descriptor, e=few: d.jacobian(e)) * 32
            print(
                f"{kind.__name__:>12} {len(elements):>9} {n_max:>5} {l_max:>5} "
                f"{descriptor.n_features:>8,} {value / unit:>6.1f} {slope / value:>5.0f}"
            )


def random_environments(n: int, n_elements: int) -> Environments:
    """Neighbours scattered evenly in the ball, not too close to its centre."""
    rng = np.random.default_rng(0)
    size = n * N_NEIGHBOURS
    directions = rng.normal(size=(size, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return Environments(
        offsets=N_NEIGHBOURS * np.arange(n + 1),
        vectors=5.0 * directions * rng.uniform(0.02, 1.0, size=(size, 1)) ** (1 / 3),
        numbers=rng.choice([1, 6][:n_elements], size=size).astype(np.int32),
        neighbours=np.arange(size),
        centres=np.arange(n),
        centre_numbers=np.ones(n, dtype=np.int32),
    )


def best(run: Callable[[], object]) -> float:
    """Least processor time of several runs after one, in seconds."""
    run()
    times = []
    for _ in range(5):
        start = time.thread_time()
        run()
        times.append(time.thread_time() - start)
    return min(times)


if __name__ == "__main__":
    main()
