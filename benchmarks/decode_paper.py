"""
The experiment of Uhrin (2021) repeated: 77 molecules of QM9, decoded from their fingerprints.

    python benchmarks/decode_paper.py data/qm9/qm9_milad77.xyz.gz

takes its ball (5 Å about the centre of the smallest enclosing ball; or one fitted to each
molecule) and its weights (H 1.1, C 1.3, N 1.5, O 1.7, F 1.9), or equal ones for the places alone,
or both: the places from a fingerprint of equal weights, and the elements from a second one. The
number of atoms is not given. Success is told in its sense (the fingerprint of the atoms found is
the given one to 1e-6; there the root of the mean square of the features, here the largest
difference relative to the largest feature) and in ours: every atom within 0.01 Å of its place, and
every element right. Its numbers are those of its published results: best of three attempts, the
number of atoms given.

Each line is a campaign like that of jobs/decode-paper.toml, with another descriptor.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from distdesc.campaign import Campaign
from distdesc.engine.run import run
from distdesc.report.decoding import decoded_structures, summarise_decoding
from distdesc.report.reader import open_run

SETTINGS = tuple(
    (order, invariants, radius, way)
    for order, invariants, radius in (
        (7, "independent", "cutoff"), (7, "full", "cutoff"), (9, "full", "cutoff"),
        (7, "independent", "fitted"), (7, "full", "fitted"), (9, "full", "fitted"),
    )
    for way in ("positions", "positions and species", "species from a second fingerprint")
)  # fmt: skip
"""Order, invariants, whether the ball is the paper's or fitted to each molecule, what is asked."""

PUBLISHED = (
    ("paper, 5 Å, positions", "117", "75 of 77", "-", "-"),
    ("paper, 5 Å, positions and species", "117", "54 of 77", "-", "-"),
    ("paper, 5 Å, species from a second fingerprint", "2 × 117", "73 of 77", "-", "-"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("molecules", type=Path, help="the 77 molecules, extended XYZ")
    parser.add_argument("--only", type=int, nargs="*", help="some settings, counted from 0")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--failures", action="store_true", help="also say what did not come back")
    arguments = parser.parse_args()
    lines = [("", "numbers", "fingerprint to 1e-6", "positions", "and species"), *PUBLISHED]
    for line in lines:
        show(line)
    for k, setting in enumerate(SETTINGS):
        if arguments.only is None or k in arguments.only:
            show(decode(arguments.molecules, arguments.workers, arguments.failures, *setting))


def show(line: tuple[str, ...]) -> None:
    print("| " + " | ".join(line) + " |", flush=True)
    if line[0] == "":
        print("|---|---|---|---|---|")


def decode(
    molecules: Path,
    workers: int,
    failures: bool,
    order: int,
    invariants: str,
    radius: str,
    way: str,
) -> tuple[str, ...]:
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "decoded.zarr"
        run(campaign(molecules, store, workers, order, invariants, radius, way))
        found = summarise_decoding(open_run(store))
        for line in decoded_structures(open_run(store)) if failures else ():
            if not (line["positions_ok"] and line["species_ok"] in (True, None)):
                where = f"  {line['index']} ({line['n_atoms']} atoms, {line['point_group']})"
                print(f"{where} {line['verdict']}: {line['reason']}")
    total = found.total
    if failures or total.wrong:
        print(f"  median {1e3 * total.median_seconds:.3g} ms, exact but wrong: {total.wrong}")
    ball = "5 Å" if radius == "cutoff" else "fitted"
    numbers = found.n_features
    second = way.startswith("species")
    return (
        f"order {order}, {invariants}, {ball}, {way}",
        f"2 × {numbers // 2:,}" if second else f"{numbers:,}",
        f"{total.reproduced} of {total.rows}",
        f"{total.positions_ok} of {total.rows}",
        f"{total.species_ok} of {total.rows}" if total.tells_elements else "-",
    )


def campaign(
    molecules: Path, store: Path, workers: int, order: int, invariants: str, radius: str, way: str
) -> Campaign:
    weights = {"species": "none"} if way == "positions" else {"weights": [1.1, 1.3, 1.5, 1.7, 1.9]}
    second = way.startswith("species")
    return Campaign.from_dict(
        {
            "source": {"name": "extxyz", "path": str(molecules.absolute())},
            "descriptor": {
                "name": "moment_invariants", "order": order, "invariants": invariants,
                "cutoff": 5.0, "smoothing": 0.0, "elements": ["H", "C", "N", "O", "F"], **weights,
            },
            "stage": [{"name": "decode", "origin": "ball", "radius": radius, "second": second}],
            "store": {"path": str(store)},
            "execution": {"executor": "dask" if workers > 1 else "serial", "workers": workers},
        }
    )  # fmt: skip


if __name__ == "__main__":
    main()
