"""Rows of decoded structures: what was found, compared with what there is, as columns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.decode.decoder import Decoded, Verdict
from distdesc.decode.match import Match, match
from distdesc.schema import ArraySpec, Ragged
from distdesc.stages.whole import RADIUS
from distdesc.symmetry.finder import find_symmetry

VERDICTS = {verdict: code for code, verdict in enumerate(Verdict)}
"""Code of each verdict, as stored."""

FOUND = 0.01
"""Largest distance of an atom from its place, in Å, that needs no second look."""

SAME = 1e-3
"""In Å: what two ways to match atoms may differ by and still count as equally near."""

ASYMMETRY = 0.01
"""In Å: how far atoms may be from a symmetric arrangement whose point group counts as theirs."""

UNKNOWN = -1
"""Stored for whether elements are right, where the fingerprint does not tell elements."""

NAN = float("nan")


@dataclass(frozen=True)
class Truth:
    """
    Atoms that there are, which the decoder does not see.

    Parameters
    ----------
    numbers : ndarray, shape (n_atoms,), int32
        Atomic numbers.
    positions : ndarray, shape (n_atoms, 3), float64
        From the middle of the ball, in Å.
    """

    numbers: NDArray[np.int32]
    positions: NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """
    One fingerprint that was decoded.

    Parameters
    ----------
    found : Decoded
        What came out, in Å.
    radius : float
        Of the ball, in Å.
    n_true : int
        Atoms that there are.
    errors : Match
        How far the atoms found are from them.
    species_ok : int
        Whether each has its element: 1, 0, or `UNKNOWN` if it was not asked.
    point_group : str
        Of the atoms that there are, about the middle of the ball.
    """

    found: Decoded
    radius: float
    n_true: int
    errors: Match
    species_ok: int
    point_group: str


def specs(n_features: int, most_atoms: int, expected_atoms: float) -> tuple[ArraySpec, ...]:
    """
    Arrays of decoded rows.

    Parameters
    ----------
    n_features : int
        Numbers that each structure is decoded from.
    most_atoms : int
        Atoms of a structure at most.
    expected_atoms : float
        Atoms of a structure on average, to project sizes.
    """
    atoms = Ragged("atom", most_atoms, expected_atoms)
    codes = {"codes": {verdict.value: code for verdict, code in VERDICTS.items()}}
    return (
        ArraySpec("n_atoms", "<i4", description="Atoms found."),
        ArraySpec("numbers", "|u1", ragged=atoms, description="Atomic numbers found."),
        ArraySpec("positions", "<f8", (3,), ("xyz",), "Å", ragged=atoms,
                  description="From the middle of the ball, in a frame of their own."),
        ArraySpec("verdict", "|i1", fill=-1, attributes=codes,
                  description="What the atoms found are worth."),
        ArraySpec("reason", "string", fill="", description="Of any verdict but exact."),
        ArraySpec("residual", "<f8", fill=NAN, attributes={"n_features": n_features},
                  description="Largest difference of a feature, to the largest feature."),
        ArraySpec("road", "string", fill="", description="How the atoms were found."),
        ArraySpec("condition", "<f8", fill=NAN, description="Of the moment matrix."),
        ArraySpec("seconds", "<f4", unit="s", fill=NAN, measured=True,
                  description="Time that decoding took; the only array that is not "
                  "reproducible."),
        ArraySpec("others", "string", fill="",
                  description="JSON of other structures with the same fingerprint."),
        RADIUS,
        ArraySpec("n_true", "<i4", description="Atoms that there are, if known."),
        ArraySpec("max_error", "<f8", unit="Å", fill=NAN,
                  description="Largest distance of an atom from its place; infinite if "
                  "their number differs."),
        ArraySpec("rms_error", "<f8", unit="Å", fill=NAN,
                  description="Root of the mean square of these distances."),
        ArraySpec("species_ok", "|i1", fill=UNKNOWN,
                  description="Whether each atom has its element: 1 or 0; -1 unknown."),
        ArraySpec("point_group", "string", fill="",
                  description=f"Schoenflies, of the atoms that there are, within {ASYMMETRY} Å; "
                  "* for infinity, Kh for a single atom in the middle."),
    )  # fmt: skip


def row_of(found: Decoded, radius: float, truth: Truth, species: bool, mirror: bool) -> Row:
    """
    What was found, compared with the truth.

    Atoms are matched by element; or by place alone, if that is nearer because some have changed
    their elements, or if the fingerprint knows no elements.

    Parameters
    ----------
    found : Decoded
        In Å.
    radius : float
        Of the ball, in Å.
    truth : Truth
        Atoms that there are.
    species : bool
        Whether the fingerprint tells elements apart.
    mirror : bool
        Whether a mirror image is as good.
    """
    numbers, positions = truth.numbers, truth.positions
    group = find_symmetry(positions, numbers, ASYMMETRY).name
    alike, same_count = np.zeros_like(numbers), len(numbers) == len(found.numbers)
    if not species:
        errors = match(found.positions, 0 * found.numbers, positions, alike, mirror)
        return Row(found, radius, len(numbers), errors, UNKNOWN, group)
    errors = match(found.positions, found.numbers, positions, numbers, mirror)
    if errors.max_error > FOUND and same_count:
        by_place = match(found.positions, alike, positions, alike, mirror)
        if by_place.max_error + SAME < errors.max_error:
            errors = replace(by_place, species_ok=False)
    return Row(found, radius, len(numbers), errors, int(errors.species_ok), group)


def scaled(found: Decoded, factor: float) -> Decoded:
    """
    A decoded structure, and all others with its fingerprint, made larger.

    Parameters
    ----------
    found : Decoded
        In any unit.
    factor : float
        To another.
    """
    others = tuple(scaled(other, factor) for other in found.others)
    return replace(found, positions=found.positions * factor, others=others)


def columns(rows: Sequence[Row]) -> dict[str, NDArray[Any]]:
    """
    Arrays of some rows, as `specs` has them.

    Parameters
    ----------
    rows : sequence of Row
        One for each fingerprint.
    """
    found = [row.found for row in rows]
    nothing: list[NDArray[Any]] = [np.empty((0, 3))]
    return {
        "n_atoms": np.array([len(d.numbers) for d in found], dtype=np.int32),
        "numbers": np.concatenate([[], *(d.numbers for d in found)]).astype(np.uint8),
        "positions": np.concatenate([*nothing, *(d.positions for d in found)]),
        "verdict": np.array([VERDICTS[d.verdict] for d in found], dtype=np.int8),
        "reason": np.array([d.reason for d in found], dtype=object),
        "residual": np.array([d.residual for d in found], dtype=np.float64),
        "road": np.array([d.road for d in found], dtype=object),
        "condition": np.array([d.condition for d in found], dtype=np.float64),
        "seconds": np.array([d.seconds for d in found], dtype=np.float32),
        "others": np.array([_other_text(d) for d in found], dtype=object),
        "radius": np.array([row.radius for row in rows], dtype=np.float64),
        "n_true": np.array([row.n_true for row in rows], dtype=np.int32),
        "max_error": np.array([row.errors.max_error for row in rows], dtype=np.float64),
        "rms_error": np.array([row.errors.rms_error for row in rows], dtype=np.float64),
        "species_ok": np.array([row.species_ok for row in rows], dtype=np.int8),
        "point_group": np.array([row.point_group for row in rows], dtype=object),
    }


def _other_text(found: Decoded) -> str:
    others = [
        {"numbers": other.numbers.tolist(), "positions": other.positions.tolist()}
        for other in found.others
    ]
    return json.dumps(others) if others else ""
