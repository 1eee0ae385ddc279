"""The command that decodes: fingerprints of a file, back to atoms, compared."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from distdesc.cli.campaigns import ACCEPT, PRINT_TOML, source_section
from distdesc.cli.options import execution_options, overrides

if TYPE_CHECKING:
    from distdesc.campaign import Campaign

SMALL = 2**18
"""Bytes of a file that is decoded before workers would have started."""


@click.command()
@click.argument("source")
@click.option("--order", default=9, show_default=True, help="Order of the moments, 3 to 12.")
@click.option("--elements", help="Elements to choose between, such as H,C,N,O,F; default all.")
@click.option("--noise", type=float, help="Put relative noise of this size on each feature first.")
@click.option("--tolerance", type=float, help="Residual up to which a structure is called exact.")
@click.option("-o", "--output", type=click.Path(), help="Folder of a store to keep it all in.")
@click.option("--figure", type=click.Path(dir_okay=False, path_type=Path),
              help="Also draw it, e.g. found.png.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Machine-readable; keys in docs/cli.md.")
@click.option("--source-name", help="Kind of source, where the suffix does not tell.")
@PRINT_TOML
@execution_options
@ACCEPT
def decode(
    source: str,
    order: int,
    elements: str | None,
    noise: float | None,
    tolerance: float | None,
    output: str | None,
    figure: Path | None,
    as_json: bool,
    source_name: str | None,
    print_toml: bool,
    accept_versions: bool,
    **options: Any,
) -> None:
    """
    Fingerprint every molecule of SOURCE, find its atoms again from the fingerprint, compare.

    Each molecule becomes one row of numbers: the rotation invariants of degree up to three of
    its moments up to ORDER, about its centroid, in a ball that just holds it. From these numbers
    and the radius alone the decoder finds how many atoms there are, where, and of what element,
    up to rotation and reflection. Order 7 can hold 20 atoms, 9 holds 35, 11 holds 56; of a
    planar or linear molecule fewer.

    \b
    distdesc decode molecules.xyz                            table of what came back, by size
    distdesc decode molecules.xyz --json > found.json        the same for each molecule
    distdesc decode molecules.xyz --noise 6e-8 --elements H,C,N,O --tolerance 1e-5
    distdesc decode qm9.db -o decoded.zarr --workers 8       keep it, resume it, on all cores
    distdesc export decoded.zarr -o decoded.xyz              the structures that were found

    What is called exact reproduces the fingerprint to `--tolerance` (1e-8) of its largest number.
    Positions are right if each atom is within 0.01 Å of its place, species if each also has its
    element. Crystals have no ball and are set aside, with the reason; a job can decode their
    environments: see stage.per of `distdesc list stages`.
    """
    from distdesc.campaign import Campaign
    from distdesc.job import overridden

    stage = {"noise": noise, "tolerance": tolerance}
    data = {
        "question": f"Which structures of {source} come back from their fingerprints?",
        "source": source_section(source, source_name),
        "descriptor": {
            "name": "moment_invariants", "order": order, "smoothing": 0.0, "invariants": "full",
            **({"elements": [e.strip() for e in elements.split(",")]} if elements else {}),
        },
        "stage": [{"name": "decode", **{k: v for k, v in stage.items() if v is not None}}],
        "store": {"path": output or "decoded.zarr"},
        "execution": {"executor": "serial"} if _is_small(source, options) else {},
        "limits": {"quarantined_fraction": 1.0},
    }  # fmt: skip
    campaign = Campaign.from_dict(overridden(data, overrides(**options)))
    if print_toml:
        click.echo(campaign.to_toml(), nl=False)
        return
    with ExitStack() as stack:
        if output is None:
            folder = Path(stack.enter_context(TemporaryDirectory()))
            data["store"] = {"path": str(folder / "decoded.zarr")}
            campaign = Campaign.from_dict(overridden(data, overrides(**options)))
        _decode(campaign, figure, as_json, accept_versions)


def _is_small(source: str, options: dict[str, Any]) -> bool:
    """Whether this process alone is done first, unless something else is asked for."""
    asked = any(options[k] is not None for k in ("workers", "scheduler", "executor"))
    file = Path(source)
    return not asked and file.is_file() and file.stat().st_size <= SMALL


def _decode(campaign: Campaign, figure: Path | None, as_json: bool, accept_versions: bool) -> None:
    from rich.console import Console

    from distdesc.cli.progress import ProgressDisplay
    from distdesc.engine.run import run
    from distdesc.report.decoding import decoding_json, summarise_decoding
    from distdesc.report.decoding_text import decoding_table
    from distdesc.report.reader import open_run
    from distdesc.report.summary import summarise
    from distdesc.report.text import quarantine_table

    with ProgressDisplay(Console(stderr=True)) as display:
        run(campaign, [display], accept_versions)
    done = open_run(campaign.path)
    if figure is not None:
        from distdesc.report.figure import write_figure

        write_figure(done, figure)
    summary, found = summarise(done), summarise_decoding(done)
    if as_json:
        click.echo(json.dumps(decoding_json(done), indent=1))
        return
    out = Console()
    if found is not None:
        out.print(decoding_table(found))
    if summary.quarantined:
        out.print(quarantine_table(summary, 20))
