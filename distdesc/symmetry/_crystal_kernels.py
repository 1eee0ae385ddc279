"""Compiled search for the shifts that complete the point operations of a lattice to a crystal's."""

from __future__ import annotations

# mypy: allow-untyped-defs, allow-untyped-calls
import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def assign_atoms(operation, shift, scaled, cell, periodic, kinds, limit, images, shifts):
    """
    Fill `images` with the atom nearest to each one's image, and `shifts` with the way there.

    `operation` and `shift` act on scaled coordinates; `shifts`, (n, 3), are in Å. Distances are
    those to the lattice point that rounding gives, which is the nearest one if any is within a
    limit that is small beside the cell. False unless the map is one to one within the limit.
    """
    n = len(scaled)
    taken = np.zeros(n, dtype=np.bool_)
    image, gap, way = np.empty(3), np.empty(3), np.empty(3)
    for k in range(n):
        for x in range(3):
            image[x] = shift[x]
            for y in range(3):
                image[x] += operation[x, y] * scaled[k, y]
        best, nearest = limit * limit, -1
        for j in range(n):
            if kinds[j] != kinds[k] or taken[j]:
                continue
            for x in range(3):
                gap[x] = scaled[j, x] - image[x]
                if periodic[x]:
                    gap[x] -= np.rint(gap[x])
            square = 0.0
            for x in range(3):
                way[x] = gap[0] * cell[0, x] + gap[1] * cell[1, x] + gap[2] * cell[2, x]
                square += way[x] * way[x]
            if square <= best:
                best, nearest = square, j
                for x in range(3):
                    shifts[k, x] = way[x]
        if nearest < 0:
            return False
        taken[nearest] = True
        images[k] = nearest
    return True


@njit(cache=True, nogil=True)
def find_space_operations(
    scaled, cell, periodic, kinds, reference, lattice, tolerance, labels, permutations, ways, errors
):
    """
    Operations that bring each atom within twice the tolerance of a like one, by lattice shifts.

    `lattice`, (l, 3, 3), are operations on scaled coordinates, the identity first. `reference` is
    an atom of the rarest kind, whose images give the shifts to try. Fills the label of each
    operation, its place in `lattice`; the permutations (k, n); the ways (k, n, 3) from the images
    to the atoms, in Å; and the longest of each. The identity comes first. Returns how many there
    are, at most as many as lattice operations times atoms of the kind of the reference.
    """
    n = len(scaled)
    shift = np.empty(3)
    count = 0
    for label in range(len(lattice)):
        operation = lattice[label]
        # the identity itself, with no shift, is to be the first
        for turn in range(n):
            target = (reference + turn) % n
            if kinds[target] != kinds[reference]:
                continue
            for x in range(3):
                shift[x] = scaled[target, x]
                for y in range(3):
                    shift[x] -= operation[x, y] * scaled[reference, y]
            images, shifts = permutations[count], ways[count]
            # the reference and its image may be off as well
            if not assign_atoms(
                operation, shift, scaled, cell, periodic, kinds, 4 * tolerance, images, shifts
            ):
                continue
            largest = 0.0
            for x in range(3):
                mean = 0.0
                for k in range(n):
                    mean += shifts[k, x] / n
                for k in range(n):
                    shifts[k, x] -= mean
            for k in range(n):
                square = shifts[k, 0] ** 2 + shifts[k, 1] ** 2 + shifts[k, 2] ** 2
                largest = max(largest, square)
            if largest > (2 * tolerance) ** 2:
                continue
            labels[count], errors[count] = label, np.sqrt(largest)
            count += 1
    return count
