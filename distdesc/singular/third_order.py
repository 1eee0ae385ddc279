"""Where degenerate pairs begin beside a singular point, from third derivatives of the features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distdesc.singular.distance import newton_step
from distdesc.singular.sight import INDEPENDENT, Sight

STEP = 3e-4
"""In Å: of second differences of the Jacobian; their errors are then about 1e-6 and 1e-9."""

TURNED = 1e-6
"""Smallest change of the response to a null motion, relative to the largest, that is one."""

NOTHING = 1e-4
"""What is in the way of pairs, relative to the third derivative, if nothing is."""

FARTHEST = 10.0
"""Of a middle of a pair from the singular point, relative to half of its separation."""

STARTS, STEPS = 6, 30
"""Random starts, beside those of curvature, and steps from each, towards a middle."""

LEAST_BENT = 1e-2
"""Curvature of C, in units of c, of directions that change it."""

ERROR = 1e-5
"""Of third derivatives, relative to that along the null motion."""

SOLVED = 1e-3
"""What is left of C, in units of c, where a middle is a solution; or as much as the error is."""

SURELY = 10.0
"""How many times as much is left where surely none is."""

SAME = 1e-2
"""Difference of middles that are the same, relative to their length."""


@dataclass(frozen=True)
class ThirdOrder:
    """
    Condition for the ends of a pair to have one fingerprint, to third order in their separation.

    The ends are ``x + e (w + v)`` and ``x + e (w - v)``, with a null motion v and a middle w. Half
    the difference of their features is ``J h + e^2 F''(w, v) + e^3 C + ...`` with what moves h a
    little. What J can make is had by h, and what ``F''(., v)`` can make by the middle at
    the next order. Of the rest, ``F''(w, v)`` has to vanish, which is so for some directions of w,
    and then ``C = c + Q(w, w)``: c is what is left of ``F'''(v, v, v) / 6``, and Q of
    ``F'''(w, w, v) / 2 - F''(w, J^+ F''(w, v))``. This is the reduction of Lyapunov and
    Schmidt [1]_.

    Parameters
    ----------
    directions : ndarray, shape (3 n, k), float64
        Orthonormal directions that the middle may take at once.
    constant : ndarray, shape (q,), float64
        c, in units of its own length, in as many independent combinations of features as tell;
        empty if nothing is in the way.
    quadratic : ndarray, shape (k, k, q), float64
        Q, in the same units; symmetric.
    error : float
        Of both, in the same units.
    alone : bool
        Whether v is the only null motion; else a little of others with it may make up for c.

    References
    ----------
    .. [1] Golubitsky and Schaeffer, Singularities and Groups in Bifurcation Theory I, Springer
       (1985), chapter VII.
    """

    directions: NDArray[np.float64]
    constant: NDArray[np.float64]
    quadratic: NDArray[np.float64]
    error: float
    alone: bool

    @property
    def free(self) -> bool:
        """Whether nothing is in the way: pairs begin about the singular point itself."""
        return self.constant.size == 0

    @property
    def barred(self) -> bool:
        """
        Whether there are no pairs next to the point: no middle makes up for c.

        The sign of it is a combination of features in which C has one sign for all middles, up to
        `FARTHEST`: that of c itself, or what of c no ``Q(w, w)`` has a part along.
        """
        if self.free or not self.alone:
            return False
        if np.all(np.linalg.eigvalsh(self.quadratic @ self.constant) > -1 / FARTHEST**2):
            return True
        bends = self._bends()[1]
        left, sizes, _ = np.linalg.svd(bends.reshape(len(bends), -1), full_matrices=False)
        made = left[:, sizes > LEAST_BENT]
        return _length(self.constant - made @ (made.T @ self.constant)) > SURELY * max(
            SOLVED, self.error
        )

    def middles(self) -> list[NDArray[np.float64]]:
        """
        Middles at which pairs begin, the nearest first, for half a separation of one.

        Returns
        -------
        list of ndarray, shape (3 n,), float64
            Both signs of each, and last the singular point itself, of length zero: where it is so
            nearly of another family that its own are of no account, it may be a middle.
        """
        if self.free:
            return [np.zeros(len(self.directions))]
        bent, bends = self._bends()
        solved = max(SOLVED, self.error)
        found = [_solved(self.constant, bends, s, solved) for s in self._starts(bends)]
        different: list[NDArray[np.float64]] = []
        for w in sorted((w for w in found if w is not None), key=_length):
            apart = SAME * _length(w)
            if all(min(_length(w - o), _length(w + o)) > apart for o in different):
                different.append(w)
        aside = [self.directions @ bent @ (sign * w) for w in different for sign in (1, -1)]
        return [*aside, np.zeros(len(self.directions))]

    def _bends(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Combinations of directions that change C, and Q in them; along others points go on."""
        sizes, axes = np.linalg.eigh(np.einsum("ijf,jkf->ik", self.quadratic, self.quadratic))
        bent = axes[:, sizes > LEAST_BENT**2]
        bends: NDArray[np.float64] = np.einsum("ijf,ia,jb->fab", self.quadratic, bent, bent)
        return bent, bends

    def _starts(self, bends: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Where the part along c vanishes on its axes of curvature, and random ones."""
        values, axes = np.linalg.eigh(np.einsum("fab,f->ab", bends, self.constant))
        down = values < -1 / FARTHEST**2
        starts = list((axes[:, down] / np.sqrt(-values[down])).T)
        return starts + list(np.random.default_rng(0).normal(size=(STARTS, len(values))))


def third_order(sight: Sight, motion: NDArray[np.float64]) -> ThirdOrder:
    """
    Expand the fingerprint about a singular point, as far as pairs of environments need.

    Parameters
    ----------
    sight : Sight
        Descriptor and singular point.
    motion : ndarray, shape (3 n,), float64
        A null motion v of length one.
    """
    start = sight.point.vectors.ravel()
    seen = sight.singular(start)
    null = seen.ratios <= seen.null
    known, inverse = seen.responses[:, ~null], seen.motions[:, ~null] / seen.values[~null]
    turn = sight.turns(start, motion[:, None])[0]
    triangular = np.linalg.qr(_without(seen.motions.T @ turn, known).T)
    left, sizes, right = np.linalg.svd(triangular[1])
    rank = int(np.sum(sizes > max(TURNED, seen.null) * np.linalg.norm(turn)))
    directions = seen.motions @ right[rank:].T
    known = np.hstack([known, triangular[0] @ left[:, :rank]])
    shift = STEP * motion
    ahead, here, back = sight.jacobians(np.stack([start + shift, start, start - shift]))
    third = motion @ (ahead - 2 * here + back) / (6 * STEP**2)
    constant = _without(third[None], known)[0]
    k, size, alone = directions.shape[1], _length(constant), int(np.sum(null)) == 1
    if size <= NOTHING * _length(third):
        return ThirdOrder(directions, np.empty(0), np.empty((k, k, 0)), 0.0, alone)
    telling = _telling(constant, known, 2 * k + 1)
    responses = directions.T @ turn @ seen.responses[:, ~null]
    quadratic = _bends(sight, motion, directions, -responses @ inverse.T, telling) / size
    error = ERROR * _length(third) / size
    return ThirdOrder(directions, constant @ telling / size, quadratic, error, alone)


def _telling(
    constant: NDArray[np.float64], known: NDArray[np.float64], more: int
) -> NDArray[np.float64]:
    """Orthonormal combinations of features without what is known: c, and others at random."""
    random = np.random.default_rng(0).normal(size=(more, len(constant)))
    rows = np.vstack([constant / _length(constant), _without(random, known) / np.sqrt(more)])
    telling, sizes = np.linalg.qr(rows.T)
    telling[:, 0] = rows[0]
    kept: NDArray[np.float64] = telling[:, np.abs(np.diag(sizes)) > INDEPENDENT]
    return kept


def _solved(
    constant: NDArray[np.float64],
    bends: NDArray[np.float64],
    w: NDArray[np.float64],
    solved: float,
) -> NDArray[np.float64] | None:
    """Solution of ``c + Q(w, w) = 0`` by the iteration of Levenberg and Marquardt."""
    left, damping = constant + bends @ w @ w, 1e-6
    for _ in range(STEPS):
        slopes = 2 * bends @ w
        step = newton_step(slopes.T @ slopes, slopes.T @ left, damping)
        now = constant + bends @ (w + step) @ (w + step)
        if _length(now) < _length(left):
            w, left, damping = w + step, now, damping / 10
        else:
            damping = 10 * damping
        if _length(left) < solved / 10 or damping > 1e3:
            break
    return w if _length(left) <= solved and _length(w) <= FARTHEST else None


def _bends(
    sight: Sight,
    motion: NDArray[np.float64],
    directions: NDArray[np.float64],
    following: NDArray[np.float64],
    telling: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Q in the combinations of features that tell, from six Jacobians for each direction."""
    start = sight.point.vectors.ravel()
    k, shift = directions.shape[1], STEP * motion
    bends = np.empty((k, k, telling.shape[1]))
    for i, direction in enumerate(directions.T):
        to = STEP * direction
        corners = np.stack([to + shift, to - shift, shift - to, -to - shift])
        one, two, three, four = sight.jacobians(start + corners)
        twice = directions.T @ (one - two - three + four) / (8 * STEP**2)
        turn = sight.turns(start, direction[:, None])[0]
        bends[i] = (twice + following @ turn) @ telling
    symmetric: NDArray[np.float64] = (bends + bends.transpose(1, 0, 2)) / 2
    return symmetric


def _without(rows: NDArray[np.float64], known: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of features less what they have along orthonormal columns."""
    rest: NDArray[np.float64] = rows - (rows @ known) @ known.T
    return rest


def _length(vector: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(vector))
