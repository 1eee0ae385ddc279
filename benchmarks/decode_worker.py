"""
Molecules decoded by milad 0.3.1, in an interpreter that has it; started by decode.py.

    python decode_worker.py molecules.json

As in its paper: 117 invariants of order 7, a ball of 5 Å, a random start, the number of atoms
given. Prints for each molecule, as a line of JSON, the atomic numbers and positions found, the root
of the mean square difference of the fingerprints, and the CPU seconds of the decoding alone.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from milad import atomic, descriptor, reconstruct


def main() -> None:
    with open(sys.argv[1]) as file:
        data = json.load(file)
    elements, species = data["elements"], data["species"]
    finger = descriptor(
        species={"map": {"numbers": tuple(elements), "range": (1.0, 2.0)}}, cutoff=5.0
    )
    query = None
    for k, (numbers, positions) in enumerate(data["molecules"]):
        true = atomic.AtomsCollection(
            len(numbers), positions=np.array(positions), numbers=np.array(numbers)
        )
        target = finger(true)
        initial = start(np.random.default_rng(k), np.array(positions), numbers, elements, species)
        if query is None:
            moments = finger.get_moments(initial)
            query = moments.create_reconstruction_query(moments.get_grid(31), moments.max_order)
            finger(initial, jacobian=True)
        begin = time.process_time()
        result = reconstruct.find_iteratively(
            finger, target, initial, find_species=species, grid_query=query
        )
        spent = time.process_time() - begin
        found = result.value
        line = [found.numbers.tolist(), found.positions.tolist(), float(result.rmsd), spent]
        print(json.dumps(line), flush=True)


def start(rng, positions, numbers, elements, species):
    """Random atoms in the ball that holds the molecule, of random elements if these are asked."""
    n = len(numbers)
    places = rng.normal(size=(n, 3))
    places *= (np.cbrt(rng.uniform(size=n)) / np.linalg.norm(places, axis=1))[:, None]
    places *= np.linalg.norm(positions, axis=1).max()
    given = rng.choice(elements, n) if species else np.array(numbers)
    return atomic.AtomsCollection(n, positions=places - places.mean(axis=0), numbers=given)


if __name__ == "__main__":
    main()
