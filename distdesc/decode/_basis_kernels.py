"""Compiled Zernike functions of a few points, and their derivatives."""

from __future__ import annotations

# mypy: allow-untyped-defs, allow-untyped-calls
import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def functions_and_slopes(points, recurrence, radial, functions, slopes):
    """
    Fill `functions`, (n, n_moments), and `slopes`, (n, 3, n_moments).

    `recurrence` and `radial` are `density.harmonic_recurrence` and `zernike.zernike_coefficients`.
    """
    order = recurrence.shape[1] - 1
    harmonic = np.empty((4, (order + 1) ** 2))  # value and derivatives by x, y and z
    low, mid, up = np.empty(4), np.empty(4), np.empty(4)
    for k in range(len(points)):
        x, y, z = points[k, 0], points[k, 1], points[k, 2]
        r2 = x * x + y * y + z * z
        cosine, sine, cosine_low, sine_low = 1.0, 0.0, 0.0, 0.0
        for m in range(order + 1):
            low[:] = 0.0
            mid[:] = 0.0
            mid[0] = recurrence[0, m, m]
            for l in range(m, order + 1):
                if l > m:
                    a, b = recurrence[0, l, m], recurrence[1, l, m]
                    for d in range(4):
                        up[d] = a * z * mid[d] + b * r2 * low[d]
                    up[1] += 2 * b * x * low[0]
                    up[2] += 2 * b * y * low[0]
                    up[3] += 2 * b * z * low[0] + a * mid[0]
                    low[:] = mid
                    mid[:] = up
                plus, minus = l * (l + 1) + m, l * (l + 1) - m
                for d in range(4):
                    harmonic[d, minus] = mid[d] * sine
                    harmonic[d, plus] = mid[d] * cosine
                turn = m * mid[0]
                harmonic[1, plus] += turn * cosine_low
                harmonic[2, plus] -= turn * sine_low
                if m > 0:
                    harmonic[1, minus] += turn * sine_low
                    harmonic[2, minus] += turn * cosine_low
            cosine_low, sine_low = cosine, sine
            cosine, sine = x * cosine - y * sine, x * sine + y * cosine
        place = 0
        for n in range(order + 1):
            for l in range(n % 2, n + 1, 2):
                value, slope = 0.0, 0.0
                for v in range((n - l) // 2, -1, -1):
                    slope = slope * r2 + value
                    value = value * r2 + radial[l, (n - l) // 2, v]
                for m in range(l * l, (l + 1) ** 2):
                    functions[k, place] = value * harmonic[0, m]
                    along = 2 * slope * harmonic[0, m]
                    slopes[k, 0, place] = along * x + value * harmonic[1, m]
                    slopes[k, 1, place] = along * y + value * harmonic[2, m]
                    slopes[k, 2, place] = along * z + value * harmonic[3, m]
                    place += 1
