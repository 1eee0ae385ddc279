"""Compiled search for the operations that map a set of points about the origin onto itself."""

from __future__ import annotations

# mypy: allow-untyped-defs, allow-untyped-calls
import numpy as np
from numba import njit

NONE, LINEAR, GENERAL = 0, 2, 3


@njit(cache=True, nogil=True)
def merge_coincident(points, numbers, tolerance, sites):
    """
    Fill `sites` with an atom each: like atoms closer than the tolerance have the first of them.

    Returns whether there are any.
    """
    found = False
    for k in range(len(points)):
        sites[k] = k
        for j in range(k):
            if numbers[j] == numbers[k] and sites[j] != sites[k]:
                square = 0.0
                for x in range(3):
                    square += (points[j, x] - points[k, x]) ** 2
                if square <= tolerance * tolerance:
                    found = True
                    low, high = min(sites[j], sites[k]), max(sites[j], sites[k])
                    for i in range(k + 1):
                        if sites[i] == high:
                            sites[i] = low
    return found


@njit(cache=True, nogil=True)
def split_classes(kinds, radii, tolerance, classes, order, starts):
    """
    Which points can be images of each other: `order` sorts them by class, `starts` delimits.

    Also the class of each point; returns how many classes there are. Points of one kind are split
    where radii leave a gap, so that a chain of small steps stays together: a class only limits
    what is tried.
    """
    n = len(radii)
    for k in range(n):
        place = k
        while place > 0:
            before = order[place - 1]
            if kinds[before] < kinds[k]:
                break
            if kinds[before] == kinds[k] and radii[before] <= radii[k]:
                break
            order[place] = before
            place -= 1
        order[place] = k
    count = 0
    for place in range(n):
        k, before = order[place], order[max(place - 1, 0)]
        if place == 0 or kinds[k] != kinds[before] or radii[k] - radii[before] > tolerance:
            starts[count] = place
            count += 1
        classes[k] = count - 1
    starts[count] = n
    return count


@njit(cache=True, nogil=True)
def shape(points, tolerance, axis):
    """
    Whether points are all at the origin (`NONE`), on one line (`LINEAR`), or neither (`GENERAL`).

    No point is farther from where it would be than the tolerance. Fills `axis` with the direction
    of the line: powers of the matrix of second moments converge to it at once if there is one.
    """
    farthest, largest = -1, tolerance * tolerance
    moments, new = np.zeros((3, 3)), np.empty(3)
    for k in range(len(points)):
        square = 0.0
        for x in range(3):
            square += points[k, x] ** 2
            for y in range(3):
                moments[x, y] += points[k, x] * points[k, y]
        if square > largest:
            farthest, largest = k, square
    if farthest < 0:
        return NONE
    for x in range(3):
        axis[x] = points[farthest, x]
    for _ in range(6):
        norm = 0.0
        for x in range(3):
            new[x] = moments[x, 0] * axis[0] + moments[x, 1] * axis[1] + moments[x, 2] * axis[2]
            norm += new[x] ** 2
        for x in range(3):
            axis[x] = new[x] / np.sqrt(norm)
    for k in range(len(points)):
        along = points[k, 0] * axis[0] + points[k, 1] * axis[1] + points[k, 2] * axis[2]
        square = 0.0
        for x in range(3):
            square += (points[k, x] - along * axis[x]) ** 2
        if square > tolerance * tolerance:
            return GENERAL
    return LINEAR


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
def fit_operation(points, goal, images, operation):
    """
    Turn an orthogonal matrix, in place, to the one that brings points nearest to their goals.

    Least squares; Newton's method, as the start is near: with the overlap S of turned points and
    goals, the turn w of steepest ascent of tr S fulfils (tr S - S) w = v, v from the antisymmetric
    part of S. Returns the largest distance of an image from its goal.
    """
    overlap, s, new = np.zeros((3, 3)), np.empty((3, 3)), np.empty((3, 3))
    for k in range(len(points)):
        for x in range(3):
            for y in range(3):
                overlap[x, y] += goal[images[k], x] * points[k, y]
    for _ in range(12):
        for x in range(3):
            for y in range(3):
                s[x, y] = operation[0, x] * overlap[0, y] + operation[1, x] * overlap[1, y]
                s[x, y] += operation[2, x] * overlap[2, y]
        a, b, c = s[1, 1] + s[2, 2], s[0, 0] + s[2, 2], s[0, 0] + s[1, 1]
        d, e, f = -(s[0, 1] + s[1, 0]) / 2, -(s[0, 2] + s[2, 0]) / 2, -(s[1, 2] + s[2, 1]) / 2
        p, q, r = s[2, 1] - s[1, 2], s[0, 2] - s[2, 0], s[1, 0] - s[0, 1]
        determinant = a * (b * c - f * f) - d * (d * c - f * e) + e * (d * f - b * e)
        if determinant == 0.0:
            break
        u = (p * (b * c - f * f) - d * (q * c - f * r) + e * (q * f - b * r)) / determinant
        v = (a * (q * c - f * r) - p * (d * c - f * e) + e * (d * r - q * e)) / determinant
        w = (a * (b * r - q * f) - d * (d * r - q * e) + p * (d * f - b * e)) / determinant
        angle = np.sqrt(u * u + v * v + w * w)
        if angle < 1e-300:
            break
        sine, versine = np.sin(angle) / angle, (1 - np.cos(angle)) / (angle * angle)
        for x in range(3):
            l, m, n = operation[x, 0], operation[x, 1], operation[x, 2]
            along = (l * u + m * v + n * w) * versine
            rest = 1 - versine * angle * angle
            new[x, 0] = rest * l + sine * (m * w - n * v) + along * u
            new[x, 1] = rest * m + sine * (n * u - l * w) + along * v
            new[x, 2] = rest * n + sine * (l * v - m * u) + along * w
        for x in range(3):
            for y in range(3):
                operation[x, y] = new[x, y]
        if angle < 1e-9:
            break
    largest = 0.0
    for k in range(len(points)):
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
def find_maps(
    points, kinds, goal, goal_kinds, limit, improper, operations, permutations, signs, errors
):
    """
    Operations that bring each point within the limit of a goal of its kind, one to one.

    Two points with the goals of both fix a rotation and, if `improper`, a reflection; those that
    are far from a line with the origin, and have few goals, are taken. Fills operations (k, 3, 3),
    where each point goes (k, n), determinants (k,) and the largest errors (k,), until these are
    full. Returns how many there are, and the two points.
    """
    n = len(points)
    radii, goal_radii = np.empty(n), np.empty(n)
    farthest = 0.0
    for k in range(n):
        radii[k] = np.sqrt(points[k, 0] ** 2 + points[k, 1] ** 2 + points[k, 2] ** 2)
        goal_radii[k] = np.sqrt(goal[k, 0] ** 2 + goal[k, 1] ** 2 + goal[k, 2] ** 2)
        farthest = max(farthest, radii[k])
    classes, own, sizes = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n + 1, np.int64)
    order, starts = np.empty(n, np.int64), np.empty(n + 1, np.int64)
    images = np.empty(n, np.int64)
    count = split_classes(goal_kinds, goal_radii, limit, images, order, starts)
    alike = count == split_classes(kinds, radii, limit, classes, own, sizes)
    for k in range(n):
        alike &= kinds[own[k]] == goal_kinds[order[k]]
        alike &= classes[own[k]] == images[order[k]]
    a, b, span = choose_pair(points, radii, classes, sizes)
    if span == 0.0 or not alike:
        return 0, a, b
    # what errors in both images do to the farthest point
    reach = limit * (2 + farthest * (1 / radii[a] + (1 + radii[b] / radii[a]) / span))
    frame, other, start = np.empty((3, 3)), np.empty((3, 3)), np.empty((3, 3))
    set_frame(points[a], points[b], frame)
    apart, count = distance(points, a, b), 0
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
            for turn in range(2 if improper else 1):
                sign = 1.0 - 2.0 * turn
                for x in range(3):
                    for y in range(3):
                        start[x, y] = other[x, 0] * frame[y, 0] + other[x, 1] * frame[y, 1]
                        start[x, y] += sign * other[x, 2] * frame[y, 2]
                # the pair alone may mislead; all points together may not
                error = np.inf
                for _ in range(2):
                    if error > limit and assign_images(
                        start, points, goal, classes, order, starts, reach, images
                    ):
                        error = fit_operation(points, goal, images, start)
                if error > limit or images[a] != p or images[b] != q:
                    continue
                for k in range(n):
                    permutations[count, k] = images[k]
                for x in range(3):
                    for y in range(3):
                        operations[count, x, y] = start[x, y]
                signs[count], errors[count] = sign, error
                count += 1
                if count == len(signs):
                    return count, a, b
    return count, a, b
