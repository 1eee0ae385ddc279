"""Compiled search for the operations that map a set of points about the origin onto itself."""

from __future__ import annotations

# mypy: allow-untyped-defs, allow-untyped-calls
import numpy as np
from numba import njit

NONE, LINEAR, GENERAL = 0, 2, 3


@njit(cache=True, nogil=True)
def merge_coincident(points, numbers, tolerance):
    """Site of each atom, (n,): like atoms closer than the tolerance share the first one's."""
    n = len(points)
    sites = np.arange(n)
    for k in range(n):
        for j in range(k):
            if numbers[j] == numbers[k] and sites[j] != sites[k]:
                square = 0.0
                for x in range(3):
                    square += (points[j, x] - points[k, x]) ** 2
                if square <= tolerance * tolerance:
                    low, high = min(sites[j], sites[k]), max(sites[j], sites[k])
                    for i in range(k + 1):
                        if sites[i] == high:
                            sites[i] = low
    return sites


@njit(cache=True, nogil=True)
def split_classes(kinds, radii, tolerance):
    """
    Which points can be images of each other: `order` sorts them by class, `starts` delimits.

    Also the class of each point. Points of one kind are split where radii leave a gap, so that a
    chain of small steps stays together: a class only limits what is tried.
    """
    n = len(radii)
    order = np.argsort(radii, kind="mergesort")
    order = order[np.argsort(kinds[order], kind="mergesort")]
    classes = np.zeros(n, dtype=np.int64)
    starts = np.zeros(n + 1, dtype=np.int64)
    count = 0
    for i in range(n):
        k = order[i]
        before = order[i - 1]
        if i == 0 or kinds[k] != kinds[before] or radii[k] - radii[before] > tolerance:
            starts[count] = i
            count += 1
        classes[k] = count - 1
    starts[count] = n
    return classes, order, starts[: count + 1]


@njit(cache=True, nogil=True)
def principal_axis(points):
    """Direction closest to all points, and the largest distance of a point from its line."""
    moments = np.zeros((3, 3))
    for k in range(len(points)):
        for x in range(3):
            for y in range(3):
                moments[x, y] += points[k, x] * points[k, y]
    axis = np.ascontiguousarray(np.linalg.eigh(moments)[1][:, 2])
    largest = 0.0
    for k in range(len(points)):
        along, square = 0.0, 0.0
        for x in range(3):
            along += points[k, x] * axis[x]
        for x in range(3):
            square += (points[k, x] - along * axis[x]) ** 2
        largest = max(largest, square)
    return axis, np.sqrt(largest)


@njit(cache=True, nogil=True)
def choose_pair(points, radii, classes, starts):
    """
    Two points whose images fix an operation: few images to try, and far from a common line.

    The smaller of the first one's radius and the second one's distance from its axis decides how
    well an operation is known from the images of both; pairs that are three times worse than the
    best one are not taken.
    """
    n = len(points)
    spans = np.zeros((n, n))
    best = 0.0
    for a in range(n):
        for b in range(n):
            if a != b and radii[a] > 0.0:
                along = 0.0
                for x in range(3):
                    along += points[a, x] * points[b, x]
                across = radii[b] ** 2 - (along / radii[a]) ** 2
                spans[a, b] = min(radii[a], np.sqrt(max(across, 0.0)))
                best = max(best, spans[a, b])
    first, second, fewest = 0, 0, n * n + 1
    for a in range(n):
        for b in range(n):
            if spans[a, b] >= best / 3 and best > 0.0:
                ca, cb = classes[a], classes[b]
                tries = (starts[ca + 1] - starts[ca]) * (starts[cb + 1] - starts[cb])
                if tries < fewest or (tries == fewest and spans[a, b] > spans[first, second]):
                    first, second, fewest = a, b, tries
    return first, second, spans[first, second]


@njit(cache=True, nogil=True)
def set_frame(first, second, frame):
    """Fill `frame` with right-handed axes as columns: along one vector, then towards another."""
    length, along = 0.0, 0.0
    for x in range(3):
        length += first[x] * first[x]
    length = np.sqrt(length)
    for x in range(3):
        frame[x, 0] = first[x] / length
        along += frame[x, 0] * second[x]
    length = 0.0
    for x in range(3):
        frame[x, 1] = second[x] - along * frame[x, 0]
        length += frame[x, 1] ** 2
    length = np.sqrt(length)
    if length == 0.0:
        return False
    for x in range(3):
        frame[x, 1] /= length
    for x in range(3):
        y, z = (x + 1) % 3, (x + 2) % 3
        frame[x, 2] = frame[y, 0] * frame[z, 1] - frame[z, 0] * frame[y, 1]
    return True


@njit(cache=True, nogil=True)
def assign_images(operation, points, goal, classes, order, starts, reach, images):
    """Fill `images` with the goal nearest to each point's image; False unless one to one."""
    n = len(points)
    taken = np.zeros(n, dtype=np.bool_)
    for k in range(n):
        best, nearest = reach * reach, -1
        x = operation[0, 0] * points[k, 0] + operation[0, 1] * points[k, 1]
        x += operation[0, 2] * points[k, 2]
        y = operation[1, 0] * points[k, 0] + operation[1, 1] * points[k, 1]
        y += operation[1, 2] * points[k, 2]
        z = operation[2, 0] * points[k, 0] + operation[2, 1] * points[k, 1]
        z += operation[2, 2] * points[k, 2]
        for place in range(starts[classes[k]], starts[classes[k] + 1]):
            j = order[place]
            square = (x - goal[j, 0]) ** 2 + (y - goal[j, 1]) ** 2 + (z - goal[j, 2]) ** 2
            if square <= best:
                best, nearest = square, j
        if nearest < 0 or taken[nearest]:
            return False
        taken[nearest] = True
        images[k] = nearest
    return True


@njit(cache=True, nogil=True)
def fit_operation(points, goal, images, sign, operation):
    """
    Fill `operation` with the orthogonal matrix, of determinant `sign`, nearest to a permutation.

    Least squares (Kabsch, Acta Cryst. A 32, 922 (1976)); returns the largest distance of an image
    from its goal.
    """
    n = len(points)
    overlap = np.zeros((3, 3))
    for k in range(n):
        for x in range(3):
            for y in range(3):
                overlap[x, y] += goal[images[k], x] * points[k, y]
    u, _, vt = np.linalg.svd(overlap)
    if sign * np.linalg.det(u) * np.linalg.det(vt) < 0:
        u[:, 2] *= -1.0
    for x in range(3):
        for y in range(3):
            operation[x, y] = u[x, 0] * vt[0, y] + u[x, 1] * vt[1, y] + u[x, 2] * vt[2, y]
    largest = 0.0
    for k in range(n):
        square = 0.0
        for x in range(3):
            image = 0.0
            for y in range(3):
                image += operation[x, y] * points[k, y]
            square += (image - goal[images[k], x]) ** 2
        largest = max(largest, square)
    return np.sqrt(largest)


@njit(cache=True, nogil=True)
def distance(points, a, b):
    """Between two points."""
    square = 0.0
    for x in range(3):
        square += (points[a, x] - points[b, x]) ** 2
    return np.sqrt(square)


@njit(cache=True, nogil=True)
def lengths(points):
    """Distance of each point from the origin."""
    radii = np.empty(len(points))
    for k in range(len(points)):
        radii[k] = np.sqrt(points[k, 0] ** 2 + points[k, 1] ** 2 + points[k, 2] ** 2)
    return radii


@njit(cache=True, nogil=True)
def find_maps(points, kinds, goal, goal_kinds, limit, improper, most):
    """
    Operations that bring each point within the limit of a goal of its kind, one to one.

    Two points with the goals of both fix a rotation and, if `improper`, a reflection; those
    that can be far from a line with the origin, and have few goals, are taken. At most `most`
    operations (k, 3, 3) are looked for. Returns also where each point goes, (k, n), the
    determinants (k,), the largest errors (k,) and the two points.
    """
    n = len(points)
    size, count = 4, 0
    operations, signs = np.empty((size, 3, 3)), np.empty(size)
    permutations, errors = np.empty((size, n), dtype=np.int64), np.empty(size)
    radii, goal_radii = lengths(points), lengths(goal)
    classes, own, sizes = split_classes(kinds, radii, limit)
    _, order, starts = split_classes(goal_kinds, goal_radii, limit)
    alike = np.array_equal(kinds[own], goal_kinds[order]) and np.array_equal(sizes, starts)
    a, b, span = choose_pair(points, radii, classes, sizes)
    if span == 0.0 or not alike:
        return operations[:0], permutations[:0], signs[:0], errors[:0], a, b
    # what errors in both images do to the farthest point
    reach = limit * (2 + np.max(radii) * (1 / radii[a] + (1 + radii[b] / radii[a]) / span))
    frame, other, start = np.empty((3, 3)), np.empty((3, 3)), np.empty((3, 3))
    images = np.empty(n, dtype=np.int64)
    set_frame(points[a], points[b], frame)
    apart = distance(points, a, b)
    for place_a in range(starts[classes[a]], starts[classes[a] + 1]):
        p = order[place_a]
        if abs(goal_radii[p] - radii[a]) > limit or goal_radii[p] == 0.0:
            continue
        for place_b in range(starts[classes[b]], starts[classes[b] + 1]):
            q = order[place_b]
            if p == q or abs(goal_radii[q] - radii[b]) > limit:
                continue
            if abs(distance(goal, p, q) - apart) > 2 * limit:
                continue
            if not set_frame(goal[p], goal[q], other):
                continue
            for sign in (1.0, -1.0):
                if sign < 0 and not improper:
                    continue
                for x in range(3):
                    for y in range(3):
                        start[x, y] = other[x, 0] * frame[y, 0] + other[x, 1] * frame[y, 1]
                        start[x, y] += sign * other[x, 2] * frame[y, 2]
                if not assign_images(start, points, goal, classes, order, starts, reach, images):
                    continue
                error = fit_operation(points, goal, images, sign, start)
                if limit < error <= reach:
                    # the pair alone may have misled; all points together may not
                    if not assign_images(
                        start, points, goal, classes, order, starts, reach, images
                    ):
                        continue
                    error = fit_operation(points, goal, images, sign, start)
                if error > limit or images[a] != p or images[b] != q:
                    continue
                if count == size:
                    operations = np.concatenate((operations, np.empty_like(operations)))
                    permutations = np.concatenate((permutations, np.empty_like(permutations)))
                    signs = np.concatenate((signs, np.empty_like(signs)))
                    errors = np.concatenate((errors, np.empty_like(errors)))
                    size *= 2
                operations[count] = start
                permutations[count] = images
                signs[count], errors[count] = sign, error
                count += 1
                if count == most:
                    return operations[:count], permutations[:count], signs, errors, a, b
    return operations[:count], permutations[:count], signs[:count], errors[:count], a, b


@njit(cache=True, nogil=True)
def shape(points, tolerance):
    """
    Whether points are all at the origin, on one line (`LINEAR`), or not, and the line's direction.

    No point is farther from where it would be than the tolerance.
    """
    axis = np.array([0.0, 0.0, 1.0])
    if len(points) == 0 or np.max(lengths(points)) <= tolerance:
        return NONE, axis
    axis, off = principal_axis(points)
    return (LINEAR if off <= tolerance else GENERAL), axis


@njit(cache=True, nogil=True)
def find_operations(points, kinds, tolerance):
    """
    All operations that bring each point within twice the tolerance of one of its kind.

    So those of a symmetric set of which no point is off by more than the tolerance are among
    them. As `find_maps`; the identity comes first.
    """
    limit = 2 * tolerance
    operations, permutations, signs, errors, a, b = find_maps(
        points, kinds, points, kinds, limit, True, 2 * len(points) ** 2
    )
    for g in range(len(operations)):
        if signs[g] > 0 and permutations[g, a] == a and permutations[g, b] == b:
            operations[g], permutations[g] = operations[0], permutations[0]
            signs[g], errors[g] = signs[0], errors[0]
            operations[0], permutations[0] = np.eye(3), np.arange(len(points))
            signs[0], errors[0] = 1.0, 0.0
            break
    return operations, permutations, signs, errors, a, b
