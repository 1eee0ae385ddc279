"""
Compiled neighbour search with periodic images, over the structures of a batch.

Two ways to find the same pairs. Both compute a vector as (x_j - x_i) + shift . cell from the
positions as given, and both visit the pairs of a centre by neighbour, then image, so that
which of them runs cannot be seen in the result.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

COUNT = 0
"""Mode: count the pairs of each centre."""

FILL = 1
"""Mode: write the pairs of each centre one after the other."""

CLOSEST = 2
"""Mode: narrow the search to the closest pair found so far; ends at coincident atoms."""

MARGIN = 1.0 + 1e-6
"""Candidates are looked for a little further than the cutoff, so that rounding loses none."""

BRUTE_PAIRS = 80_000.0
"""Candidates of a structure (atoms squared times images) above which bins are faster; measured."""


@njit(cache=True, nogil=True)
def cell_frames(cells, pbc, frames, reciprocals, heights):
    """
    Complete the periodic directions of every cell to a basis of space.

    Parameters
    ----------
    cells : ndarray, shape (n, 3, 3), float64
        Lattice vectors as rows, in Å.
    pbc : ndarray, shape (n, 3), bool
        Periodic directions.
    frames : ndarray, shape (n, 3, 3), float64
        Receives the lattice vectors of periodic directions, in Å, and unit vectors normal to
        all other rows for the rest.
    reciprocals : ndarray, shape (n, 3, 3), float64
        Receives rows whose dot product with a position is its coordinate in the frame; zero
        where a cell has no volume.
    heights : ndarray, shape (n, 3), float64
        Receives the distance between lattice planes of each direction, in Å: infinite where it
        is not periodic, zero where the cell has no volume.
    """
    for k in range(cells.shape[0]):
        frame = frames[k]
        n_periodic = 0
        for a in range(3):
            if pbc[k, a]:
                n_periodic += 1
            for x in range(3):
                frame[a, x] = cells[k, a, x] if pbc[k, a] else 0.0
        if n_periodic == 0:
            for a in range(3):
                frame[a, a] = 1.0
        elif n_periodic == 1:
            p = 0
            while not pbc[k, p]:
                p += 1
            q, r = (p + 1) % 3, (p + 2) % 3
            thin = 0
            for x in range(3):
                if abs(frame[p, x]) < abs(frame[p, thin]):
                    thin = x
            frame[r, thin] = 1.0
            _unit_normal(frame[p], frame[r], frame[q])
            _unit_normal(frame[p], frame[q], frame[r])
        elif n_periodic == 2:
            r = 0
            while pbc[k, r]:
                r += 1
            _unit_normal(frame[(r + 1) % 3], frame[(r + 2) % 3], frame[r])
        for a in range(3):
            u, v, w = frame[a], frame[(a + 1) % 3], frame[(a + 2) % 3]
            nx = v[1] * w[2] - v[2] * w[1]
            ny = v[2] * w[0] - v[0] * w[2]
            nz = v[0] * w[1] - v[1] * w[0]
            area = math.sqrt(nx * nx + ny * ny + nz * nz)
            height = 0.0
            reciprocals[k, a] = 0.0
            if area > 0.0:
                nx, ny, nz = nx / area, ny / area, nz / area
                signed = u[0] * nx + u[1] * ny + u[2] * nz
                height = abs(signed)
                if height > 0.0:
                    reciprocals[k, a, 0] = nx / signed
                    reciprocals[k, a, 1] = ny / signed
                    reciprocals[k, a, 2] = nz / signed
            heights[k, a] = height if pbc[k, a] else np.inf


@njit(cache=True, nogil=True)
def _unit_normal(u, v, out):
    x = u[1] * v[2] - u[2] * v[1]
    y = u[2] * v[0] - u[0] * v[2]
    z = u[0] * v[1] - u[1] * v[0]
    norm = math.sqrt(x * x + y * y + z * z)
    if norm > 0.0:
        x, y, z = x / norm, y / norm, z / norm
    out[0], out[1], out[2] = x, y, z


@njit(cache=True, nogil=True)
def find_pairs(
    mode, offsets, positions, frames, reciprocals, heights,
    first, last, cutoff, brute_pairs, cursor, vectors, neighbours,
):  # fmt: skip
    """
    Count or write the pairs of the centres ``first`` to ``last``.

    Parameters
    ----------
    mode : int
        `COUNT` or `FILL`.
    offsets : ndarray, shape (n + 1,), int64
        Structure k has the atoms ``offsets[k]:offsets[k + 1]``.
    positions : ndarray, shape (n_atoms, 3), float64
        In Å, finite where there are centres.
    frames, reciprocals : ndarray, shape (n, 3, 3), float64
        Of `cell_frames`.
    heights : ndarray, shape (n, 3), float64
        Of `cell_frames`, in Å, not zero where there are centres.
    first, last : int
        Half-open range of atoms.
    cutoff : float
        In Å.
    brute_pairs : float
        See `BRUTE_PAIRS`.
    cursor : ndarray, shape (last - first,), int64
        Incremented by the number of pairs of each centre; for `FILL`, where its first pair goes.
    vectors : ndarray, shape (n_pairs, 3), float64
        For `FILL`, receives the vectors from centre to neighbour, in Å.
    neighbours : ndarray, shape (n_pairs,), int64
        For `FILL`, receives the atoms.
    """
    for k in range(offsets.shape[0] - 1):
        start, stop = offsets[k], offsets[k + 1]
        c0, c1 = max(start, first), min(stop, last)
        if c0 < c1:
            _search(
                mode, positions, start, stop, c0, c1, frames[k], reciprocals[k], heights[k],
                cutoff, brute_pairs, cursor[c0 - first :], vectors, neighbours,
            )  # fmt: skip


@njit(cache=True, nogil=True)
def find_closest(
    offsets, positions, frames, reciprocals, heights, usable, limit, brute_pairs, closest
):
    """
    Smallest interatomic distance of each structure.

    Parameters
    ----------
    offsets : ndarray, shape (n + 1,), int64
        Structure k has the atoms ``offsets[k]:offsets[k + 1]``.
    positions : ndarray, shape (n_atoms, 3), float64
        In Å.
    frames, reciprocals : ndarray, shape (n, 3, 3), float64
        Of `cell_frames`.
    heights : ndarray, shape (n, 3), float64
        Of `cell_frames`, in Å.
    usable : ndarray, shape (n,), bool
        Structures to look at: their positions are finite, their heights not zero.
    limit : float
        Distances from here on are not looked for, in Å.
    brute_pairs : float
        See `BRUTE_PAIRS`.
    closest : ndarray, shape (n,), float64
        Receives the distances, in Å; infinite where none is below the limit.
    """
    cursor = np.empty(0, np.int64)
    vectors = np.empty((0, 3), np.float64)
    for k in range(offsets.shape[0] - 1):
        start, stop = offsets[k], offsets[k + 1]
        closest[k] = np.inf
        if usable[k] and start < stop:
            found = _search(
                CLOSEST, positions, start, stop, start, stop, frames[k], reciprocals[k],
                heights[k], limit, brute_pairs, cursor, vectors, cursor,
            )  # fmt: skip
            if found < limit * limit:
                closest[k] = math.sqrt(found)


@njit(cache=True, nogil=True)
def _search(
    mode, positions, start, stop, c0, c1, frame, reciprocal, heights,
    cutoff, brute_pairs, cursor, vectors, neighbours,
):  # fmt: skip
    """Pairs of the centres c0 to c1 of the structure start to stop; the last squared cutoff."""
    images = 1.0
    for a in range(3):
        images *= 1.0 + 2.0 * cutoff * MARGIN / heights[a]
    n = float(stop - start)
    if n * n * images > brute_pairs:
        return _binned(
            mode, positions, start, stop, c0, c1, frame, reciprocal, heights,
            cutoff, cursor, vectors, neighbours,
        )  # fmt: skip
    if images > 1.0:
        return _brute_periodic(
            mode, positions, start, stop, c0, c1, frame, reciprocal, heights,
            cutoff, cursor, vectors, neighbours,
        )  # fmt: skip
    return _brute_open(mode, positions, start, stop, c0, c1, cutoff, cursor, vectors, neighbours)


@njit(cache=True, nogil=True)
def _brute_open(mode, positions, start, stop, c0, c1, cutoff, cursor, vectors, neighbours):
    limit = cutoff * cutoff
    for i in range(c0, c1):
        xi, yi, zi = positions[i, 0], positions[i, 1], positions[i, 2]
        if mode == COUNT:
            # Without branches, so that it is vectorised; the centre counts itself once.
            n = -1
            for j in range(start, stop):
                x = positions[j, 0] - xi
                y = positions[j, 1] - yi
                z = positions[j, 2] - zi
                n += x * x + y * y + z * z < limit
            cursor[i - c0] += n
            continue
        here = cursor[i - c0] if mode == FILL else 0
        for j in range(start, stop):
            x = positions[j, 0] - xi
            y = positions[j, 1] - yi
            z = positions[j, 2] - zi
            r2 = x * x + y * y + z * z
            if r2 < limit and i != j:
                if mode == FILL:
                    vectors[here, 0] = x
                    vectors[here, 1] = y
                    vectors[here, 2] = z
                    neighbours[here] = j
                    here += 1
                else:
                    limit = r2
    return limit


@njit(cache=True, nogil=True)
def _brute_periodic(
    mode, positions, start, stop, c0, c1, frame, reciprocal, heights,
    cutoff, cursor, vectors, neighbours,
):  # fmt: skip
    limit = cutoff * cutoff
    low = np.zeros(3, np.int64)
    high = np.zeros(3, np.int64)
    for i in range(c0, c1):
        here = cursor[i - c0] if mode != CLOSEST else 0
        for j in range(start, stop):
            x0 = positions[j, 0] - positions[i, 0]
            y0 = positions[j, 1] - positions[i, 1]
            z0 = positions[j, 2] - positions[i, 2]
            for a in range(3):
                if heights[a] < np.inf:
                    g = reciprocal[a]
                    place = x0 * g[0] + y0 * g[1] + z0 * g[2]
                    reach = cutoff * MARGIN / heights[a] + 1e-15 * abs(place)
                    low[a] = math.ceil(-reach - place)
                    high[a] = math.floor(reach - place)
            for sa in range(low[0], high[0] + 1):
                for sb in range(low[1], high[1] + 1):
                    for sc in range(low[2], high[2] + 1):
                        x = x0 + (sa * frame[0, 0] + sb * frame[1, 0] + sc * frame[2, 0])
                        y = y0 + (sa * frame[0, 1] + sb * frame[1, 1] + sc * frame[2, 1])
                        z = z0 + (sa * frame[0, 2] + sb * frame[1, 2] + sc * frame[2, 2])
                        r2 = x * x + y * y + z * z
                        if r2 < limit and not (i == j and sa == 0 and sb == 0 and sc == 0):
                            if mode == FILL:
                                vectors[here, 0] = x
                                vectors[here, 1] = y
                                vectors[here, 2] = z
                                neighbours[here] = j
                            elif mode == CLOSEST:
                                limit = r2
                            here += 1
        if mode != CLOSEST:
            cursor[i - c0] = here
    return limit


@njit(cache=True, nogil=True)
def _folded(b, n, height):
    """Bin of the cell that a bin number stands for; -1 if there is none in an open direction."""
    if height < np.inf:
        return b % n
    return b if 0 <= b < n else -1


@njit(cache=True, nogil=True)
def _binned(
    mode, positions, start, stop, c0, c1, frame, reciprocal, heights,
    cutoff, cursor, vectors, neighbours,
):  # fmt: skip
    # Centres lie in bins and neighbours pass by in order: the pairs of a centre then come in
    # order without sorting, and work and memory follow the centres that were asked for.
    limit = cutoff * cutoff
    reach = cutoff * MARGIN
    n = c1 - c0
    places = np.empty((n, 3), np.float64)
    wraps = np.zeros((n, 3), np.int64)
    low = np.zeros(3, np.float64)
    extent = np.ones(3, np.float64)
    for a in range(3):
        g = reciprocal[a]
        for m in range(n):
            i = c0 + m
            place = positions[i, 0] * g[0] + positions[i, 1] * g[1] + positions[i, 2] * g[2]
            if heights[a] < np.inf:
                whole = math.floor(place)
                wraps[m, a] = whole
                place -= whole
            places[m, a] = place
        if heights[a] == np.inf:
            low[a] = places[:, a].min()
            extent[a] = places[:, a].max() - low[a]
    bins = np.ones(3, np.int64)
    widths = np.ones(3, np.float64)
    reaches = np.zeros(3, np.int64)
    side = reach
    while True:
        total = 1.0
        for a in range(3):
            periodic = heights[a] < np.inf
            length = heights[a] if periodic else extent[a]
            number = np.floor(length / side) + (0.0 if periodic else 1.0)
            total *= max(number, 1.0)
        if total <= max(64.0, float(n)):
            break
        side *= 1.26
    for a in range(3):
        if heights[a] < np.inf:
            bins[a] = max(int(heights[a] / side), 1)
            widths[a] = 1.0 / bins[a]
            reaches[a] = math.ceil(reach / (heights[a] * widths[a]))
        else:
            bins[a] = int(extent[a] / side) + 1
            widths[a] = side
            reaches[a] = math.ceil(reach / side)
    homes = np.empty(n, np.int64)
    begin = np.zeros(bins[0] * bins[1] * bins[2] + 1, np.int64)
    for m in range(n):
        home = 0
        for a in range(3):
            b = int((places[m, a] - low[a]) / widths[a])
            home = home * bins[a] + min(b, bins[a] - 1)
        homes[m] = home
        begin[home + 1] += 1
    for b in range(bins[0] * bins[1] * bins[2]):
        begin[b + 1] += begin[b]
    order = np.empty(n, np.int64)
    wrapped = np.empty((n, 3), np.float64)
    filled = begin[:-1].copy()
    for m in range(n):
        o = filled[homes[m]]
        filled[homes[m]] += 1
        order[o] = m
        for x in range(3):
            wrapped[o, x] = positions[c0 + m, x]
            for a in range(3):
                wrapped[o, x] -= wraps[m, a] * frame[a, x]

    # Most atoms of a large structure are far from the few centres of a slice: one look at the
    # bin of an atom tells.
    busy = np.zeros(bins[0] * bins[1] * bins[2], np.bool_)
    for ba in range(bins[0]):
        for bb in range(bins[1]):
            for bc in range(bins[2]):
                b = (ba * bins[1] + bb) * bins[2] + bc
                if begin[b] == begin[b + 1]:
                    continue
                for na in range(ba - reaches[0], ba + reaches[0] + 1):
                    ma = _folded(na, bins[0], heights[0])
                    for nb in range(bb - reaches[1], bb + reaches[1] + 1):
                        mb = _folded(nb, bins[1], heights[1])
                        for nc in range(bc - reaches[2], bc + reaches[2] + 1):
                            mc = _folded(nc, bins[2], heights[2])
                            if ma >= 0 and mb >= 0 and mc >= 0:
                                busy[(ma * bins[1] + mb) * bins[2] + mc] = True

    near = reach * reach
    own_wrap = np.zeros(3, np.int64)
    b0 = np.zeros(3, np.int64)
    b1 = np.zeros(3, np.int64)
    own = np.zeros(3, np.float64)
    for j in range(start, stop):
        home = 0
        inside = True
        for x in range(3):
            own[x] = positions[j, x]
        for a in range(3):
            g = reciprocal[a]
            place = positions[j, 0] * g[0] + positions[j, 1] * g[1] + positions[j, 2] * g[2]
            if heights[a] < np.inf:
                whole = math.floor(place)
                own_wrap[a] = whole
                b = min(int((place - whole) / widths[a]), bins[a] - 1)
                b0[a] = b - reaches[a]
                b1[a] = b + reaches[a]
                for x in range(3):
                    own[x] -= whole * frame[a, x]
            else:
                # Clamped before it becomes an integer: far atoms must not overflow.
                b = math.floor(min(max((place - low[a]) / widths[a], -1e9), 1e9))
                b0[a] = max(b - reaches[a], 0)
                b1[a] = min(b + reaches[a], bins[a] - 1)
                inside = inside and 0 <= b < bins[a]
            home = home * bins[a] + b
        if inside and not busy[home]:
            continue
        # From high to low bins, because the image of the centre counts against the shift.
        for ba in range(b1[0], b0[0] - 1, -1):
            qa = ba // bins[0]
            for bb in range(b1[1], b0[1] - 1, -1):
                qb = bb // bins[1]
                line = ((ba - qa * bins[0]) * bins[1] + bb - qb * bins[1]) * bins[2]
                # Bins that follow each other along the last direction, image by image.
                for qc in range(b1[2] // bins[2], b0[2] // bins[2] - 1, -1):
                    o0 = begin[line + max(b0[2] - qc * bins[2], 0)]
                    o1 = begin[line + min(b1[2] - qc * bins[2], bins[2] - 1) + 1]
                    if o0 == o1:
                        continue
                    x0 = own[0] - (qa * frame[0, 0] + qb * frame[1, 0] + qc * frame[2, 0])
                    y0 = own[1] - (qa * frame[0, 1] + qb * frame[1, 1] + qc * frame[2, 1])
                    z0 = own[2] - (qa * frame[0, 2] + qb * frame[1, 2] + qc * frame[2, 2])
                    for o in range(o0, o1):
                        x = x0 - wrapped[o, 0]
                        y = y0 - wrapped[o, 1]
                        z = z0 - wrapped[o, 2]
                        if x * x + y * y + z * z >= near:
                            continue
                        # Near enough to be worth the vector as every search computes it.
                        m = order[o]
                        i = c0 + m
                        sa = wraps[m, 0] - own_wrap[0] - qa
                        sb = wraps[m, 1] - own_wrap[1] - qb
                        sc = wraps[m, 2] - own_wrap[2] - qc
                        x = (positions[j, 0] - positions[i, 0]) + (
                            sa * frame[0, 0] + sb * frame[1, 0] + sc * frame[2, 0]
                        )
                        y = (positions[j, 1] - positions[i, 1]) + (
                            sa * frame[0, 1] + sb * frame[1, 1] + sc * frame[2, 1]
                        )
                        z = (positions[j, 2] - positions[i, 2]) + (
                            sa * frame[0, 2] + sb * frame[1, 2] + sc * frame[2, 2]
                        )
                        r2 = x * x + y * y + z * z
                        if r2 < limit and not (i == j and sa == 0 and sb == 0 and sc == 0):
                            if mode == CLOSEST:
                                limit = r2
                                if limit == 0.0:
                                    return limit
                                continue
                            if mode == FILL:
                                here = cursor[m]
                                vectors[here, 0] = x
                                vectors[here, 1] = y
                                vectors[here, 2] = z
                                neighbours[here] = j
                            cursor[m] += 1
    return limit
