"""The command that looks for singular points: which motions of its atoms a file's rows hide."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from distdesc.cli.campaigns import source_section
from distdesc.cli.oneoff import one_off_options, one_off_sections, run_of, show
from distdesc.cli.options import element_names
from distdesc.errors import CampaignError

if TYPE_CHECKING:
    from distdesc.report.reader import Run

HYPER = ("n_max", "l_max", "order", "cutoff", "sigma")
"""Options that are keys of the descriptor."""


@click.command()
@click.argument("source")
@click.option("--descriptor", default="power_spectrum", show_default=True, help="Which map.")
@click.option("--map", "of", default="env", show_default=True,
              help='"env", every environment; of whole structures "sum" or "stack".')  # fmt: skip
@click.option("--n-max", type=int, help="Radial functions.")
@click.option("--l-max", type=int, help="Highest degree of the spherical harmonics.")
@click.option("--order", type=int, help="Order of moments, for moment_invariants.")
@click.option("--cutoff", type=float, help="Radius of an environment in Å; default 5.")
@click.option("--sigma", type=float, help="Width of the Gaussians in Å; 0 for points.")
@click.option("--elements", help="Such as H,C,N,O,F; default those that SOURCE has.")
@click.option("--flag-distance", type=float, metavar="Å",
              help="Follow what is as near as this to a singular point.")  # fmt: skip
@click.option("--screen", is_flag=True, help="Flag only; do not follow what is flagged.")
@one_off_options("blind.png")
def singular(
    source: str,
    output: str | None,
    figure: Path | None,
    as_json: bool,
    source_name: str | None,
    print_toml: bool,
    accept_versions: bool,
    **options: Any,
) -> None:
    """
    Find what a fingerprint cannot see of SOURCE: motions of atoms that leave it unchanged.

    Where a motion other than a rotation changes no feature to first order, the environment is a
    singular point, and a model on these features has no force along it. There are three reasons:
    the symmetry of the environment, which is as it should be; a basis that is too small; or a
    fingerprint that correlates too few neighbours at a time, and that has, beside such a point,
    the same value for two different environments. The command counts the nulls of every
    environment, those that its symmetry demands, estimates how far it is from the nearest
    singular point, and follows those that are near to it, to tell which kind it is.

    \b
    distdesc singular molecules.xyz                            census by kind, element, symmetry
    distdesc singular molecules.xyz --json > blind.json        the same for each environment
    distdesc singular molecules.xyz --n-max 8 --l-max 8        is it the basis?
    distdesc singular molecules.xyz --descriptor bispectrum    is it the body order?
    distdesc singular molecules.xyz --map sum                  of whole molecules
    distdesc singular qm9.db -o blind.zarr --workers 8         keep it, resume it, on all cores
    distdesc export blind.zarr -o blind.xyz                    points, motions and pairs, to look at

    The elements are those found in SOURCE, which is read once more for it. What the table, the
    kinds and the distances mean is in docs/singular.md.
    """
    data = _sections(source, source_name, output or "singular.zarr", options)
    with run_of(data, output, options, print_toml, accept_versions, figure) as done:
        if done is not None:
            _show(done, source, figure, as_json)


def _sections(
    source: str, source_name: str | None, store: str, options: dict[str, Any]
) -> dict[str, Any]:
    """The campaign that the flags amount to; takes from the options what is not of execution."""
    found = source_section(source, source_name)
    name, of = options.pop("descriptor"), options.pop("of")
    hyper = {k: v for k in HYPER if (v := options.pop(k)) is not None}
    elements, distance = options.pop("elements"), options.pop("flag_distance")
    screen = options.pop("screen")
    _check(name, of)
    stage = {"name": "singular", "map": of}
    if not screen:
        stage["classify"] = True
    if distance is not None:
        stage["flag_distance"] = distance
    return {
        "question": f"What can {name} not see of {source}?",
        "source": found,
        "descriptor": {"name": name, **hyper, "elements": _elements(found, elements)},
        "stage": [stage],
        **one_off_sections(source, store, options),
    }


def _check(name: str, of: str) -> None:
    """Refuse what is not there before a file is read."""
    from distdesc.descriptors import DESCRIPTORS
    from distdesc.registry import load
    from distdesc.stages.singular import CHOICES

    if of not in CHOICES["map"]:
        raise CampaignError(f'--map must be one of {", ".join(CHOICES["map"])}, got "{of}"')
    if not hasattr(load(DESCRIPTORS, "descriptor", name, "name"), "jacobian"):
        raise CampaignError(f"--descriptor must have a Jacobian, which {name} has not")


def _elements(source: dict[str, Any], asked: str | None) -> list[str]:
    """Elements that were asked for, or all that the source has."""
    if asked:
        return element_names(asked)
    from rich.console import Console

    from distdesc.registry import build
    from distdesc.structures import SOURCES
    from distdesc.structures.composition import elements_of

    with Console(stderr=True).status("looking for elements") as spinner:
        return list(elements_of(
            build(SOURCES, "source", source),
            lambda done, total: spinner.update(
                f"looking for elements in structure {done:,} of {total:,}"
            ),
        ))  # fmt: skip


def _show(done: Run, source: str, figure: Path | None, as_json: bool) -> None:
    from distdesc.report.figure_singular import write_singular_figure
    from distdesc.report.singular import singular_json, summarise_singular
    from distdesc.report.singular_text import singular_table

    found = summarise_singular(done)
    table, refusal = None, ""
    if found is None or not found.rows:
        refusal = f"all structures of {source} were set aside: nothing was looked at"
    elif found.rows == found.alone:
        refusal = _nothing(found.map, source)
    else:
        table = singular_table(found)
    data = singular_json if as_json else None
    show(done, table, data, refusal, (figure, write_singular_figure))


def _nothing(of: str, source: str) -> str:
    """Why there is no table, where no row has a motion to look at."""
    if of == "env":
        return f"no atom of {source} has a neighbour to see: single atoms have no singular points"
    return (
        f"no structure of {source} has motions other than rotations and translations: of one "
        "atom there are none"
    )
