"""Whether two environments are a degenerate pair, by other means than those that find one."""

from __future__ import annotations

import numpy as np
from reference.families import spectrum

from distdesc.descriptors.bispectrum import Bispectrum
from distdesc.singular.point import as_environments


def difference(descriptor, pair):
    """Relative difference of the fingerprints of a pair."""
    first, second = descriptor.compute(as_environments([pair.first, pair.second]))
    return np.linalg.norm(first - second) / np.linalg.norm(first)


def triples(vectors, numbers):
    """What a power spectrum can know at best: all ``|r_i|, |r_j|, r_i . r_j``, sorted."""
    products = vectors @ vectors.T
    i, j = np.tril_indices(len(vectors))
    # what a neighbour is goes with its distance
    sizes = np.sort(100.0 * numbers[np.stack([i, j])] + np.diag(products)[np.stack([i, j])], axis=0)
    found = np.stack([*sizes, products[i, j]], axis=1)
    return found[np.lexsort(np.round(found, 5).T)]


def distance_lists(vectors):
    """Sorted distances of each atom from all others and the centre, neighbours in any order."""
    atoms = np.vstack([np.zeros(3), vectors])
    lists = np.sort(np.linalg.norm(atoms[:, None] - atoms, axis=2), axis=1)
    return np.vstack([lists[:1], lists[1 + np.lexsort(np.round(lists[1:], 4).T)]])


def verify(pair, least=1e-3, cutoff=2.6):
    """Whatever found it: one power spectrum, also in a large basis, and yet two environments."""
    one, other = pair.first.vectors, pair.second.vectors
    numbers = pair.first.numbers
    np.testing.assert_allclose(triples(one, numbers), triples(other, numbers), atol=1e-6)
    assert pair.residual < 1e-14
    for n_max, l_max in ((4, 6), (6, 12)):
        assert difference(spectrum(n_max, l_max, numbers, cutoff), pair) < 1e-10
    assert difference(spectrum(3, 4, numbers, cutoff, Bispectrum), pair) > 1e-6
    assert np.max(np.abs(distance_lists(one) - distance_lists(other))) > least
