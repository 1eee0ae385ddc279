"""What a decoding run found: row by row, by size, and by symmetry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.report.decoded_rows import STAGE, Rows, decoded_rows, right, verdict_names
from distdesc.report.numbers import finite
from distdesc.report.reader import Run
from distdesc.schema import RowKind

REPRODUCED = 1e-6
"""Residual up to which a fingerprint counts as reproduced: success as Uhrin (2021) has it."""


@dataclass(frozen=True)
class Successes:
    """
    How often decoding succeeded, and how well, among some rows.

    Parameters
    ----------
    atoms : int
        Atoms of these structures; 0 for all sizes together.
    point_group : str
        Symmetry of these structures; empty for all together.
    rows : int
        Structures or environments that were decoded.
    exact, approximate, ambiguous, failed : int
        Rows by verdict.
    reproduced : int
        Rows whose fingerprint is that of the atoms found, to 1e-6 of its largest feature.
    known : int
        Rows whose true atoms are known, to which the following refer.
    positions_ok : int
        All atoms within 0.01 Å of their places.
    tells_elements : int
        Of the known, those whose fingerprint tells elements.
    species_ok : int
        Of those, positions and all elements right.
    wrong : int
        Called exact, but positions or elements are not right.
    median_error, largest_error : float or None
        Of the largest distance of an atom, in Å, among those with the right number of atoms.
    median_seconds, total_seconds : float
        Time of decoding.
    """

    atoms: int
    point_group: str
    rows: int
    exact: int
    approximate: int
    ambiguous: int
    failed: int
    reproduced: int
    known: int
    positions_ok: int
    tells_elements: int
    species_ok: int
    wrong: int
    median_error: float | None
    largest_error: float | None
    median_seconds: float
    total_seconds: float


@dataclass(frozen=True)
class DecodingSummary:
    """
    What a decoding run found so far.

    Parameters
    ----------
    n_features : int
        Length of a fingerprint.
    row_kind : str
        What a row is.
    total : Successes
        Of all rows.
    by_size : tuple of Successes
        Of the rows of each number of atoms, ascending.
    by_point_group : tuple of Successes
        Of the rows of each symmetry, the most frequent first.
    errors : dict of str to int
        Rows by the decade of their largest error, in Å, such as ``"1e-09"`` for 1e-9 to 1e-8.
    roads : dict of str to int
        Rows by how their atoms were found, the most frequent first; without the failed.
    """

    n_features: int
    row_kind: str
    total: Successes
    by_size: tuple[Successes, ...]
    by_point_group: tuple[Successes, ...]
    errors: dict[str, int]
    roads: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """JSON-compatible form."""
        return asdict(self)


def summarise_decoding(run: Run) -> DecodingSummary | None:
    """
    Successes of a run by size, and the distribution of its errors.

    Parameters
    ----------
    run : Run
        Finished or not.

    Returns
    -------
    DecodingSummary or None
        None if nothing was to be decoded.
    """
    if STAGE not in run.stages:
        return None
    rows, names = decoded_rows(run), verdict_names(run)
    sizes, groups = rows.size, rows["point_group"].astype("U8")
    by_size = tuple(
        replace(_successes(rows, np.flatnonzero(sizes == n), names), atoms=int(n))
        for n in np.unique(sizes)
    )
    by_group = tuple(
        replace(_successes(rows, np.flatnonzero(groups == name), names), point_group=str(name))
        for name in np.unique(groups[rows.known])
    )
    errors = rows["max_error"][np.isfinite(rows["max_error"])]
    decades = Counter(np.floor(np.log10(np.maximum(errors, 1e-16))).astype(int).tolist())
    return DecodingSummary(
        n_features=int(run.reader.attributes("residual")["n_features"]),
        row_kind=run.plan.layout(STAGE).row_kind,
        total=_successes(rows, np.arange(len(rows.row)), names),
        by_size=by_size,
        by_point_group=tuple(sorted(by_group, key=lambda s: -s.rows)),
        errors={f"1e{k:+03d}": decades[k] for k in sorted(decades)},
        roads=dict(Counter(rows["road"][rows["n_atoms"] > 0].tolist()).most_common()),
    )


def _successes(rows: Rows, chosen: NDArray[np.int64], names: Sequence[str]) -> Successes:
    verdicts = {name: rows["verdict"][chosen] == code for code, name in enumerate(names)}
    positions, species = (found[chosen] for found in right(rows))
    known, told = rows.known[chosen], rows.tells_elements[chosen]
    errors = rows["max_error"][chosen]
    errors = errors[np.isfinite(errors)]
    seconds = rows["seconds"][chosen].astype(np.float64)
    return Successes(
        atoms=0,
        point_group="",
        rows=len(chosen),
        **{name: int(verdicts[name].sum()) for name in names},
        reproduced=int((rows["residual"][chosen] <= REPRODUCED).sum()),
        known=int(known.sum()),
        positions_ok=int(positions.sum()),
        tells_elements=int(told.sum()),
        species_ok=int(species.sum()),
        wrong=int((verdicts["exact"] & known & ~np.where(told, species, positions)).sum()),
        median_error=float(np.median(errors)) if len(errors) else None,
        largest_error=float(errors.max()) if len(errors) else None,
        median_seconds=float(np.median(seconds)) if len(seconds) else 0.0,
        total_seconds=float(seconds.sum()),
    )


def decoded_structures(run: Run) -> Iterator[dict[str, Any]]:
    """
    What was found for each row, JSON-compatible.

    Parameters
    ----------
    run : Run
        With a stage ``decode``.

    Yields
    ------
    dict
        Of one row; null where something is not known.
    """
    rows, names = decoded_rows(run), verdict_names(run)
    positions, species = right(rows)
    sizes = rows.size
    by_atom = run.plan.layout(STAGE).row_kind == RowKind.ENVIRONMENT.value
    structures, atoms = run.locate(rows.row) if by_atom else (rows.row, None)
    known, told = rows.known, rows.tells_elements
    for k in range(len(rows.row)):
        yield {
            "index": int(structures[k]),
            **({} if atoms is None else {"atom": int(atoms[k])}),
            "n_atoms": int(sizes[k]),
            "n_found": int(rows["n_atoms"][k]),
            "point_group": str(rows["point_group"][k]) if known[k] else None,
            "verdict": names[rows["verdict"][k]],
            "positions_ok": bool(positions[k]) if known[k] else None,
            "species_ok": bool(species[k]) if told[k] else None,
            "max_error_angstrom": finite(rows["max_error"][k]),
            "residual": finite(rows["residual"][k]),
            "seconds": float(rows["seconds"][k]),
            "road": str(rows["road"][k]),
            "reason": str(rows["reason"][k]),
        }


def decoding_json(run: Run) -> dict[str, Any]:
    """
    All that is known of a decoding run, JSON-compatible.

    Parameters
    ----------
    run : Run
        With a stage ``decode``.
    """
    summary = summarise_decoding(run)
    return {
        **({} if summary is None else summary.to_dict()),
        "structures": list(decoded_structures(run)),
        "quarantined": [
            {"structure": k, "reason": v} for k, v in sorted(run.quarantined().items())
        ],
    }
