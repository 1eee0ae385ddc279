"""
Screening for singular environments, next to the same screen on featomic's and dscribe's gradients.

    python benchmarks/singular.py [--molecules FILE] [--count N]

takes molecules of the bundled sample of QM9, or of an extended XYZ file, from positions in memory
to the singular values of the Jacobian of the power spectrum of every environment, rotations set
aside: six radial functions, l to 6, a cutoff of 5 Å, Gaussians of 0.3 Å. The peers give gradients,
which are put into one matrix for each environment, of the elements of its molecule only; numpy
takes their singular values. featomic is given 50 molecules a call. Every number is a ratio of CPU
times of this run, the best of three; the peers are ``pip install featomic dscribe``.

It also says by how much the smallest singular value, relative to the largest, differs from
featomic's, whose basis is the same, in the median and at most, where it is above 1e-6.
"""

from __future__ import annotations

import argparse
import lzma
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

for _name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[_name] = "1"

import ase  # noqa: E402
import ase.io  # noqa: E402
import numpy as np  # noqa: E402
from descriptor_sets import SAMPLE, joined  # noqa: E402

from distdesc.descriptors.power_spectrum import PowerSpectrum  # noqa: E402
from distdesc.elements import SYMBOLS  # noqa: E402
from distdesc.singular.motions import ROTATIONS, trivial_motions  # noqa: E402
from distdesc.singular.sight import complement  # noqa: E402
from distdesc.singular.spectrum import environment_spectra  # noqa: E402
from distdesc.structures.neighbours import build_environments  # noqa: E402

CUTOFF, N_MAX, L_MAX, SIGMA, SMOOTHING = 5.0, 6, 6, 0.3, 0.5
AT_ONCE = 50


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--molecules", type=Path, default=SAMPLE, metavar="FILE")
    parser.add_argument("--count", type=int, default=40, help="molecules, spread over the file")
    chosen = parser.parse_args()
    opened = lzma.open if chosen.molecules.suffix == ".xz" else open
    with opened(chosen.molecules, "rt") as file:
        atoms = ase.io.read(file, ":", format="extxyz")
    atoms = atoms[:: max(1, len(atoms) // chosen.count)]
    sizes = [len(molecule) for molecule in atoms]
    print(f"{len(atoms)} molecules of {np.mean(sizes):.1f} atoms, {sum(sizes)} environments")
    mine, ratios = best(screened, atoms)
    values, _ = best(computed, atoms)
    mine += values  # the peers' gradients come with the values
    for name, kind in (("dense Jacobians", dense), ("featomic", featomic), ("dscribe", dscribe)):
        taken, found = best(kind, atoms)
        line = f"{name} and numpy's singular values: {taken / mine:.1f} times the time"
        if name != "dscribe":
            usual = ratios > 1e-6
            apart = np.quantile(np.abs(found - ratios)[usual] / ratios[usual], [0.5, 1.0])
            line += f"; smallest values differ by {apart[0]:.0e}, at most {apart[1]:.0e}"
        print(line)


def best(work: Callable[[list[ase.Atoms]], np.ndarray], atoms: list[ase.Atoms]):
    """CPU time in s, the best of three, and what came out."""
    work(atoms[:2])
    times = []
    for _ in range(3):
        start = time.process_time()
        found = work(atoms)
        times.append(time.process_time() - start)
    return min(times), found


def power_spectrum(atoms: list[ase.Atoms]) -> PowerSpectrum:
    numbers = sorted({z for molecule in atoms for z in molecule.numbers.tolist()})
    return PowerSpectrum(
        cutoff=CUTOFF, n_max=N_MAX, l_max=L_MAX, sigma=SIGMA, smoothing=SMOOTHING,
        elements=tuple(SYMBOLS[z] for z in numbers), include_centre=True,
    )  # fmt: skip


def environments(atoms: list[ase.Atoms]):
    batch = joined(atoms)
    return build_environments(batch, 0, len(batch.numbers), CUTOFF)


def screened(atoms: list[ase.Atoms]) -> np.ndarray:
    """Singular values as the stage finds them."""
    return environment_spectra(power_spectrum(atoms), environments(atoms)).summary().ratio


def computed(atoms: list[ase.Atoms]) -> np.ndarray:
    """Fingerprints, which the peers' gradients come with."""
    return power_spectrum(atoms).compute(environments(atoms))


def dense(atoms: list[ase.Atoms]) -> np.ndarray:
    """Our Jacobians, treated as those of the peers are."""
    found = []
    for molecule in atoms:
        descriptor = power_spectrum([molecule])
        for k, others, vectors in neighbours(molecule):
            own = build_environments(joined([molecule]), k, k + 1, CUTOFF)
            found.append(ratio(descriptor.jacobian(own).reshape(3 * len(others), -1), vectors))
    return np.array(found)


def featomic(atoms: list[ase.Atoms]) -> np.ndarray:
    """Gradients of featomic, in its blocks by centre and pair of elements, made dense."""
    from featomic import SoapPowerSpectrum

    calculator = SoapPowerSpectrum(
        cutoff={"radius": CUTOFF, "smoothing": {"type": "ShiftedCosine", "width": SMOOTHING}},
        density={"type": "Gaussian", "width": SIGMA},
        basis={"type": "TensorProduct", "max_angular": L_MAX,
               "radial": {"type": "Gto", "max_radial": N_MAX - 1}},
    )  # fmt: skip
    found = []
    for first in range(0, len(atoms), AT_ONCE):
        part = atoms[first : first + AT_ONCE]
        made = calculator.compute(part, gradients=["positions"])
        for molecule, jacobians in zip(part, by_molecule(part, made), strict=True):
            for k, others, vectors in neighbours(molecule):
                rows = jacobians[k, others].reshape(3 * len(others), -1)
                found.append(ratio(rows, vectors))
    return np.array(found)


def by_molecule(atoms: list[ase.Atoms], made) -> Iterator[np.ndarray]:
    """Dense derivatives (centre, atom, xyz, feature), of the pairs of the molecule's elements."""
    width = N_MAX**2 * (L_MAX + 1)
    places = [np.unique(molecule.numbers) for molecule in atoms]
    out = []
    for molecule, numbers in zip(atoms, places, strict=True):
        n, pairs = len(molecule), len(numbers) * (len(numbers) + 1) // 2
        out.append(np.zeros((n, n, 3, pairs * width)))
    for key, block in made.items():
        gradient = block.gradient("positions")
        centres = block.samples.values[gradient.samples["sample"]]
        low, high = key["neighbor_1_type"], key["neighbor_2_type"]
        starts = np.searchsorted(centres[:, 0], np.arange(len(atoms) + 1))
        for system in np.flatnonzero(np.diff(starts)):
            numbers = places[system]
            if low not in numbers or high not in numbers:
                continue
            a, b = np.searchsorted(numbers, [low, high])
            pair = a * len(numbers) - a * (a - 1) // 2 + b - a
            own = slice(starts[system], starts[system + 1])
            where = centres[own, 1], gradient.samples["atom"][own]
            out[system][*where, :, pair * width : (pair + 1) * width] = gradient.values[own]
    yield from out


def dscribe(atoms: list[ase.Atoms]) -> np.ndarray:
    """Analytical gradients of dscribe; its basis is another, and so are its neighbours."""
    from dscribe.descriptors import SOAP

    found = []
    for molecule in atoms:
        soap = SOAP(
            r_cut=CUTOFF, n_max=N_MAX, l_max=L_MAX, sigma=SIGMA, periodic=False,
            species=sorted(set(molecule.get_chemical_symbols())),
        )  # fmt: skip
        jacobians, _ = soap.derivatives(molecule, method="analytical", attach=True)
        for k, others, vectors in neighbours(molecule):
            found.append(ratio(jacobians[k, others].reshape(3 * len(others), -1), vectors))
    return np.array(found)


def neighbours(molecule: ase.Atoms) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Each centre, its neighbours and their places."""
    for k, centre in enumerate(molecule.positions):
        vectors = molecule.positions - centre
        distances = np.linalg.norm(vectors, axis=1)
        others = np.flatnonzero((distances < CUTOFF) & (np.arange(len(molecule)) != k))
        yield k, others, vectors[others]


def ratio(jacobian: np.ndarray, vectors: np.ndarray) -> float:
    """Smallest singular value to the largest, rotations set aside."""
    if not len(vectors):
        return np.nan
    basis = complement(trivial_motions(vectors, ROTATIONS))
    values = np.linalg.svd(basis.T @ jacobian, compute_uv=False)
    return values[-1] / values[0]


if __name__ == "__main__":
    main()
