"""Compiled multiplication tables: subgroups of found operations, and exact representations."""

from __future__ import annotations

# mypy: allow-untyped-defs, allow-untyped-calls
import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def fill_table(permutations, labels, products, a, b, keys, order, whole, table):
    """See `group_table`: `keys` tell operations apart, and `order` sorts them."""
    k, n = permutations.shape
    for g in range(k):
        for h in range(k):
            label = products[labels[g], labels[h]]
            image_a, image_b = (
                permutations[g, permutations[h, a]],
                permutations[g, permutations[h, b]],
            )
            key = (label * n + image_a) * n + image_b
            low, high = 0, k
            while low < high:
                middle = (low + high) // 2
                if keys[order[middle]] < key:
                    low = middle + 1
                else:
                    high = middle
            found = order[low] if low < k and keys[order[low]] == key else -1
            if found >= 0 and whole:
                for point in range(n):
                    if permutations[found, point] != permutations[g, permutations[h, point]]:
                        found = -1
                        break
            table[g, h] = found


@njit(cache=True, nogil=True)
def grow_subgroup(table, inside, new):
    """Group that `inside` and one more generate, and its order; 0 if it leaves the table."""
    k = len(table)
    members = np.empty(k, dtype=np.int64)
    is_member = inside.copy()
    is_member[new] = True
    count = 0
    for g in range(k):
        if is_member[g]:
            members[count] = g
            count += 1
    place = 0
    while place < count:
        g = members[place]
        other = 0
        while other <= place:
            for product in (table[g, members[other]], table[members[other], g]):
                if product < 0:
                    return is_member, 0
                if not is_member[product]:
                    is_member[product] = True
                    members[count] = product
                    count += 1
            other += 1
        place += 1
    return is_member, count


@njit(cache=True, nogil=True)
def largest_shift(shifts, inside):
    """Distance of the farthest point from its place in the set that some operations symmetrise."""
    largest, count = 0.0, 0
    for g in range(len(shifts)):
        count += inside[g]
    for k in range(shifts.shape[1]):
        x, y, z = 0.0, 0.0, 0.0
        for g in range(len(shifts)):
            if inside[g]:
                x += shifts[g, k, 0]
                y += shifts[g, k, 1]
                z += shifts[g, k, 2]
        largest = max(largest, x * x + y * y + z * z)
    return np.sqrt(largest) / count


@njit(cache=True, nogil=True)
def largest_group(shifts, order, table, tolerance):
    """
    Operations, (k,) bool, that form a group and together shift no point beyond the tolerance.

    All of them if they do. Else a group is grown from the identity, which is the first, by the
    first in `order` first; one that would bring in a product which is not in the table, or shift
    a point too far, is left out. `shifts` (k, n, 3) lead from a point to the image of it
    that is turned back.
    """
    k = len(table)
    inside = np.ones(k, dtype=np.bool_)
    closed = True
    for g in range(k):
        for h in range(k):
            closed &= table[g, h] >= 0
    if closed and largest_shift(shifts, inside) <= tolerance:
        return inside
    for g in range(1, k):
        inside[g] = False
    for new in order:
        if not inside[new]:
            grown, count = grow_subgroup(table, inside, new)
            if count > 0 and largest_shift(shifts, grown) <= tolerance:
                inside = grown
    return inside


@njit(cache=True, nogil=True)
def make_exact(operations, table):
    """
    Turn nearly multiplicative orthogonal matrices, (k, 3, 3), in place into an exact group.

    The first is the identity and stays so.
    The average over h of (gh) h⁻¹, made orthogonal, has the square of the error (Grove, Karcher
    and Ruh, Math. Ann. 211, 7 (1974)).
    """
    k = len(operations)
    new = operations.copy()
    mean, square = np.empty((3, 3)), np.empty((3, 3))
    for _ in range(8):
        change = 0.0
        for g in range(1, k):
            for x in range(3):
                for y in range(3):
                    mean[x, y] = 0.0
            for h in range(k):
                gh = table[g, h]
                for x in range(3):
                    for y in range(3):
                        mean[x, y] += (
                            operations[gh, x, 0] * operations[h, y, 0]
                            + operations[gh, x, 1] * operations[h, y, 1]
                            + operations[gh, x, 2] * operations[h, y, 2]
                        )
            for x in range(3):
                for y in range(3):
                    mean[x, y] /= k
            for _ in range(6):
                make_orthogonal(mean, square)
            for x in range(3):
                for y in range(3):
                    new[g, x, y] = mean[x, y]
                    change = max(change, abs(mean[x, y] - operations[g, x, y]))
        for g in range(1, k):
            for x in range(3):
                for y in range(3):
                    operations[g, x, y] = new[g, x, y]
        if change < 1e-14:
            break


@njit(cache=True, nogil=True)
def make_orthogonal(matrix, square):
    """One step of Newton and Schulz towards the nearest orthogonal matrix, in place."""
    for x in range(3):
        for y in range(3):
            value = 0.0
            for z in range(3):
                value += matrix[z, x] * matrix[z, y]
            square[x, y] = (3.0 if x == y else 0.0) - value
    for x in range(3):
        a, b, c = matrix[x, 0], matrix[x, 1], matrix[x, 2]
        for y in range(3):
            matrix[x, y] = 0.5 * (a * square[0, y] + b * square[1, y] + c * square[2, y])
