"""Density expansions and their spectra, slowly: one formula, one loop, no table, no recurrence."""

from __future__ import annotations

from functools import cache
from itertools import combinations_with_replacement, permutations
from math import factorial, pi, sqrt

import numpy as np
from scipy.linalg import eigh
from scipy.optimize import brentq
from scipy.special import eval_jacobi, gamma, hyp1f1, ive, lpmv, spherical_jn

from distdesc.descriptors.couplings import coupling_tensor


def harmonics(vectors, l_max):
    """Real orthonormal harmonics, shape (n, (l_max + 1) ** 2)."""
    x, y, z = np.asarray(vectors, dtype=float).reshape(-1, 3).T
    r = np.sqrt(x * x + y * y + z * z)
    cosine = np.divide(z, r, out=np.ones_like(r), where=r > 0)
    azimuth = np.arctan2(y, x)
    columns = []
    for l in range(l_max + 1):
        for m in range(-l, l + 1):
            k = abs(m)
            norm = sqrt((2 * l + 1) / (4 * pi) * factorial(l - k) / factorial(l + k))
            value = (-1) ** k * norm * lpmv(k, l, cosine)  # lpmv has the phase of Condon-Shortley
            if m:
                value = value * sqrt(2) * (np.cos(k * azimuth) if m > 0 else np.sin(k * azimuth))
            columns.append(value)
    return np.stack(columns, axis=1)


def _root(overlap):
    values, vectors = eigh(overlap)
    return vectors @ np.diag(values**-0.5) @ vectors.T


def basis(kind, n_max, l, radius):
    """Orthonormal radial functions of one l: a function of distances, and where they end."""
    if kind == "laplacian":
        grid = np.linspace(1e-6, (n_max + l + 2) * pi, 4000)
        values = spherical_jn(l, grid)
        brackets = np.flatnonzero(values[:-1] * values[1:] < 0)[:n_max]
        zeros = np.array([
            brentq(lambda x: spherical_jn(l, x), grid[k], grid[k + 1], xtol=1e-14, rtol=1e-15)
            for k in brackets
        ])  # fmt: skip
        norm = np.sqrt(2 / radius**3) / np.abs(spherical_jn(l + 1, zeros))
        return lambda r: norm * spherical_jn(l, zeros * r[:, None] / radius), radius
    if kind == "zernike":
        k = np.arange(n_max)
        norm = np.sqrt((4 * k + 2 * l + 3) / radius**3)

        def ball(r):
            x = r[:, None] / radius
            return norm * x**l * eval_jacobi(k, 0, l + 0.5, 2 * x * x - 1)

        return ball, radius
    powers, exponents = _primitives(kind, n_max, l, radius)
    order = 0.5 * (3 + powers[:, None] + powers)
    overlap = 0.5 * gamma(order) / (exponents[:, None] + exponents) ** order
    norm = np.diag(overlap) ** -0.5
    if kind == "gto_dscribe":
        norm = np.ones(n_max)  # here the functions are not normalised first
    mix = norm[:, None] * _root(overlap * norm[:, None] * norm)
    return lambda r: r[:, None] ** powers * np.exp(-exponents * r[:, None] ** 2) @ mix, np.inf


def _primitives(kind, n_max, l, radius):
    """Powers and exponents of Gaussian-type orbitals."""
    if kind == "gto":
        powers = np.arange(n_max)
        return powers, 0.5 / (radius * np.sqrt(np.maximum(powers, 1)) / n_max) ** 2
    radii = np.linspace(1.0, radius, n_max)
    return np.full(n_max, l), -np.log(1e-3 / radii**l) / radii**2


@cache
def _rule():
    return np.polynomial.legendre.leggauss(300)


def radial_functions(kind, n_max, l_max, radius, sigma, distances):
    """Coefficient of one neighbour without its harmonic, shape (n, l_max + 1, n_max)."""
    distances = np.asarray(distances, dtype=float)
    table = np.empty((len(distances), l_max + 1, n_max))
    for l in range(l_max + 1):
        function, end = basis(kind, n_max, l, radius)
        if sigma == 0:
            table[:, l] = function(distances)
            continue
        height = 1.0 if kind == "gto_dscribe" else (pi * sigma**2) ** -0.75
        for k, r in enumerate(distances):
            first, last = max(0.0, r - 12 * sigma), min(end, r + 12 * sigma)
            place, weight = _rule()
            x = first + 0.5 * (last - first) * (place + 1)
            z = x * r / sigma**2
            bessel = np.full_like(x, float(l == 0))
            far = z > 0
            bessel[far] = np.sqrt(pi / (2 * z[far])) * ive(l + 0.5, z[far])
            bell = np.exp(-0.5 * ((x - r) / sigma) ** 2) * bessel
            weight = weight * 0.5 * (last - first) * 4 * pi * height * x * x * bell
            table[k, l] = weight @ function(x)
    return table


def gaussian_orbitals(n_max, l, radius, sigma, distances):
    """`radial_functions` of one l for ``"gto"``, in closed form: shape (n, n_max)."""
    powers, exponents = _primitives("gto", n_max, l, radius)
    order = 0.5 * (3 + powers[:, None] + powers)
    overlap = 0.5 * gamma(order) / (exponents[:, None] + exponents) ** order
    norm = np.diag(overlap) ** -0.5
    mix = norm[:, None] * _root(overlap * norm[:, None] * norm)
    a = exponents + 0.5 / sigma**2
    r = np.asarray(distances, dtype=float)[:, None]
    z = (r / sigma**2) ** 2 / (4 * a)
    q = 0.5 * (powers + l + 3)
    integral = sqrt(pi) / (4 * gamma(l + 1.5)) * (r / (2 * sigma**2)) ** l
    integral = integral * gamma(q) * a**-q * hyp1f1(q, l + 1.5, z)
    height = (pi * sigma**2) ** -0.75
    return 4 * pi * height * np.exp(-0.5 * (r / sigma) ** 2) * integral @ mix


def cutoff_weight(kind, cutoff, smoothing, distances):
    """Weight of a neighbour: one, then a decay to zero over the width `smoothing`."""
    r = np.asarray(distances, dtype=float)
    if kind == "none" or smoothing == 0:
        return np.where(r < cutoff, 1.0, 0.0)
    s = np.clip((r - cutoff + smoothing) / smoothing, 0, 1)
    decay = 0.5 + 0.5 * np.cos(pi * s) if kind == "cosine" else 1 - s**3 * (10 - 15 * s + 6 * s * s)
    return np.where(r < cutoff, decay, 0.0)


def coefficients(expansion, environments, radius=None):
    """Slow twin of `DensityExpansion.coefficients`; the radius of the basis is the cutoff."""
    radius = expansion.cutoff if radius is None else radius
    n_max, l_max, mixing = expansion.n_max, expansion.l_max, expansion.mixing()
    degree = np.repeat(np.arange(l_max + 1), 2 * np.arange(l_max + 1) + 1)
    table = np.zeros((len(environments), mixing.shape[1], (l_max + 1) ** 2, n_max))
    for k in range(len(environments)):
        part = slice(environments.offsets[k], environments.offsets[k + 1])
        vectors, numbers = environments.vectors[part], environments.numbers[part]
        if expansion.include_centre:
            vectors = np.vstack([vectors, np.zeros(3)])
            numbers = np.append(numbers, environments.centre_numbers[k])
        r = np.linalg.norm(vectors, axis=1)
        radial = radial_functions(expansion.radial, n_max, l_max, radius, expansion.sigma, r)
        radial = (
            radial
            * cutoff_weight(expansion.cutoff_function, expansion.cutoff, expansion.smoothing, r)[
                :, None, None
            ]
        )
        angular = harmonics(vectors, l_max)
        angular[r == 0, 1:] = 0.0
        table[k] = np.einsum("ja,jl,jln->aln", mixing[numbers], angular, radial[:, degree])
    return table


def _tensors(table):
    """Tensors of one environment, shape (channels, lm, n), as (l, channel, n, values), sorted."""
    l_max = round(sqrt(table.shape[1])) - 1
    return [
        (l, a, n, table[a, l * l : (l + 1) ** 2, n])
        for l in range(l_max + 1)
        for a in range(table.shape[0])
        for n in range(table.shape[2])
    ]


def power_spectrum(table):
    """Features of one environment, shape (channels, lm, n): pairs, l, n, n' in this order."""
    n_channels, _, n_max = table.shape
    l_max = round(sqrt(table.shape[1])) - 1
    found = []
    for a in range(n_channels):
        for b in range(a, n_channels):
            for l in range(l_max + 1):
                left, right = table[a, l * l : (l + 1) ** 2], table[b, l * l : (l + 1) ** 2]
                for n in range(n_max):
                    for k in range(n if a == b else 0, n_max):
                        factor = 1 if (a, n) == (b, k) else sqrt(2)
                        found.append(factor * (left[:, n] @ right[:, k]) / sqrt(2 * l + 1))
    return np.array(found)


def _orders(keys):
    """How many different sequences the same tensors make."""
    return len(set(permutations(keys)))


def bispectrum(table, parity_odd=False):
    """Features of one environment, shape (channels, lm, n), those that vanish left out."""
    found = []
    triples = combinations_with_replacement(_tensors(table), 3)
    for p, q, r in sorted(triples, key=lambda t: ([x[0] for x in t], [x[1:3] for x in t])):
        keys = [p[:3], q[:3], r[:3]]
        odd = sum(k[0] for k in keys) % 2 == 1
        if r[0] > p[0] + q[0] or (odd and (not parity_odd or len(set(keys)) < 3)):
            continue
        tensor = coupling_tensor(p[0], q[0], r[0])
        found.append(sqrt(_orders(keys)) * np.einsum("ijk,i,j,k->", tensor, p[3], q[3], r[3]))
    return np.array(found)


def trispectrum(table, parity_odd=False):
    """
    Features of one environment: four tensors, coupled through L in all ways that differ.

    The products are symmetrised over equal tensors and orthonormalised by Gram and Schmidt in
    the order of L, so that those that depend on others fall out.
    """
    found = []
    quads = combinations_with_replacement(_tensors(table), 4)
    for quad in sorted(quads, key=lambda t: ([x[0] for x in t], [x[1:3] for x in t])):
        keys = [t[:3] for t in quad]
        if sum(k[0] for k in keys) % 2 == 1 and not parity_odd:
            continue
        order = [1, 2, 0, 3] if keys[1] == keys[2] and len(set(keys)) == 3 else [0, 1, 2, 3]
        quad, keys = [quad[k] for k in order], [keys[k] for k in order]
        a, b, c, d = (k[0] for k in keys)
        chosen = []
        for middle in range(max(abs(a - b), abs(c - d)), min(a + b, c + d) + 1):
            left, right = coupling_tensor(a, b, middle), coupling_tensor(c, d, middle)
            tensor = np.einsum("ijm,klm->ijkl", left, right)
            same = [p for p in permutations(range(4)) if [keys[k] for k in p] == keys]
            tensor = sum(tensor.transpose(p) for p in same) / len(same)
            for _ in range(2):
                for other in chosen:
                    tensor = tensor - np.sum(tensor * other) * other
            if np.sum(tensor**2) > 1e-12:
                chosen.append(tensor / np.sqrt(np.sum(tensor**2)))
        for tensor in chosen:
            value = np.einsum("ijkl,i,j,k,l->", tensor, *(t[3] for t in quad))
            found.append(sqrt(_orders(keys)) * value)
    return np.array(found)


def is_odd(descriptor):
    """Which features change sign under reflection, from the momenta in their names."""
    momenta = [name.split(" l")[1].split(" ")[0] for name in descriptor.feature_names()]
    return np.array([sum(map(int, ls.split(","))) % 2 == 1 for ls in momenta])


def rotation_matrices(l_max, rotation):
    """Matrices, by l, that turn real coefficients as the rotation turns their density."""
    points = np.random.default_rng(0).normal(size=(4 * l_max + 8, 3))
    before, after = harmonics(points, l_max), harmonics(points @ rotation.T, l_max)
    parts = [slice(l * l, (l + 1) ** 2) for l in range(l_max + 1)]
    # c' = sum_j Y(R r_j) = D c, where Y(R r) = D Y(r)
    return [np.linalg.lstsq(before[:, p], after[:, p], rcond=None)[0].T for p in parts]


def overlap_kernel(first, second, power, improper=False):
    """
    Mean over all rotations of the overlap of two expansions to some power.

    By a quadrature over Euler angles that is exact; what the squared length of the spectrum of
    body order `power` must be, without a word about couplings. `improper` also averages over
    rotations with inversion.
    """
    l_max = round(sqrt(first.shape[1])) - 1
    n_angles, (place, weight) = (
        power * l_max + 1,
        np.polynomial.legendre.leggauss(power * l_max // 2 + 1),
    )
    # R = Rz(alpha) Ry(beta) Rz(gamma); powers of one matrix keep the least squares few
    turn = 2 * pi / n_angles
    step = rotation_matrices(l_max, _about_z(turn))
    total = 0.0
    for x, w in zip(place, weight, strict=True):
        s = sqrt(1 - x * x)
        tilt = rotation_matrices(l_max, np.array([[x, 0, s], [0, 1, 0], [-s, 0, x]]))
        overlaps = np.zeros((n_angles, n_angles))
        signed = np.zeros((n_angles, n_angles))
        for l in range(l_max + 1):
            part = slice(l * l, (l + 1) ** 2)
            c, d = first[:, part], second[:, part]
            powers = [np.linalg.matrix_power(step[l], k) for k in range(n_angles)]
            right = np.stack([np.einsum("mk,akn->amn", p, d) for p in powers])
            right = np.einsum("mk,gakn->gamn", tilt[l], right)
            left = np.stack([np.einsum("km,akn->amn", p, c) for p in powers])
            product = np.einsum("famn,gamn->fg", left, right)
            overlaps += product
            signed += (-1) ** l * product
        mean = np.mean(overlaps**power)
        if improper:
            mean = 0.5 * (mean + np.mean(signed**power))
        total += 0.5 * w * mean
    return total


def _about_z(angle):
    return np.array([
        [np.cos(angle), -np.sin(angle), 0.0],
        [np.sin(angle), np.cos(angle), 0.0],
        [0.0, 0.0, 1.0],
    ])  # fmt: skip
