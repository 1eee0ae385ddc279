"""Commands that plan and run campaigns: featurise, ingest, plan, run."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from distdesc.cli.errors import stoppable
from distdesc.cli.options import element_names, execution_options, overrides
from distdesc.place import place

if TYPE_CHECKING:
    from distdesc.campaign import Campaign
    from distdesc.engine.events import Listener
    from distdesc.engine.share import Share

JOB = click.argument("job", type=click.Path(dir_okay=False))
OUTPUT = click.option(
    "-o", "--output", required=True, type=click.Path(), help="Folder of the store, e.g. qm9.zarr."
)
PRINT_TOML = click.option(
    "--toml", "print_toml", is_flag=True, help="Print the campaign as a job file; run nothing."
)
ACCEPT = click.option(
    "--accept-versions",
    is_flag=True,
    help="Go on with a store although package versions differ from those it was begun with.",
)


@click.command()
@JOB
@click.option("-o", "--output", type=click.Path(), help="Store, instead of the job's [store] path.")
@execution_options
@click.option(
    "--shards",
    "share",
    default="",
    metavar="K/N",
    help="Compute the K-th of N equal shares of the shards; others compute the others.",
)
@click.option(
    "--wait", is_flag=True, help="Wait while another client has the store, rather than refuse."
)
@click.option(
    "--log-json",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to which a line of JSON is added for every shard and event.",
)
@ACCEPT
def run(
    job: str,
    output: str | None,
    share: str,
    wait: bool,
    log_json: Path | None,
    accept_versions: bool,
    **options: Any,
) -> None:
    """
    Run the campaign of a JOB file, or go on with it.

    What lacks a receipt is computed and nothing else, so the same command both starts a
    campaign and resumes it. A changed job, input or package version is noticed and refused.

    \b
    distdesc run jobs/quickstart.toml
    distdesc run jobs/quickstart.toml --workers 8 --memory 4
    distdesc run jobs/quickstart.toml --scheduler scheduler.json
    distdesc run jobs/quickstart.toml --executor serial --shards 3/20
    distdesc run jobs/quickstart.toml --log-json run.jsonl --performance-report
    """
    from distdesc.engine.share import Share

    whose = Share.parse(share, wait)
    campaign = _from_job(job, output, options)
    if log_json is None:
        _execute(campaign, accept_versions, whose)
        return
    from distdesc.cli.json_log import JsonLog

    with JsonLog(log_json) as log:
        _execute(campaign, accept_versions, whose, [log])


@click.command()
@click.argument("source")
@OUTPUT
@click.option("--descriptor", default="moment_invariants", show_default=True, help="Which map.")
@click.option("--order", type=int, help="Order of the moments.")
@click.option("--cutoff", type=float, help="Radius of an environment in Å.")
@click.option("--invariants", help='"independent" or "full".')
@click.option("--elements", help="Accepted elements, such as H,C,N,O,F.")
@click.option("--dtype", help='"float64" (default) or "float32" for the stored values.')
@click.option("--source-name", help="Kind of source, where the suffix does not tell.")
@PRINT_TOML
@execution_options
@ACCEPT
def featurise(
    source: str,
    output: str,
    descriptor: str,
    dtype: str | None,
    elements: str | None,
    source_name: str | None,
    print_toml: bool,
    accept_versions: bool,
    **options: Any,
) -> None:
    """
    Fingerprint every atomic environment of SOURCE.

    SOURCE is a file, a glob in quotes, a folder or a URL: extended XYZ, an ASE database, an
    .aselmdb, an ingested structure store, or anything that ASE reads.

    \b
    distdesc featurise qm9.db --descriptor moment_invariants --order 7 --cutoff 5 -o qm9.zarr
    distdesc featurise 'md/*.xyz' --elements H,O -o water.zarr --set descriptor.species=channels
    distdesc featurise qm9.db -o qm9.zarr --toml > qm9.toml
    """
    hyper = {k: options.pop(k) for k in ("order", "cutoff", "invariants")}
    data = {
        "question": f"Fingerprints of every environment of {source}.",
        "source": source_section(source, source_name),
        "descriptor": {
            "name": descriptor,
            **{k: v for k, v in hyper.items() if v is not None},
            **({"elements": element_names(elements)} if elements else {}),
        },
        "stage": [{"name": "fingerprint", **({"dtype": dtype} if dtype else {})}],
        "store": {"path": output},
    }
    _run_flags(data, options, print_toml, accept_versions)


@click.command()
@click.argument("source")
@OUTPUT
@click.option("--source-name", help="Kind of source, where the suffix does not tell.")
@PRINT_TOML
@execution_options
@ACCEPT
def ingest(
    source: str,
    output: str,
    source_name: str | None,
    print_toml: bool,
    accept_versions: bool,
    **options: Any,
) -> None:
    """
    Turn SOURCE into a columnar structure store that campaigns read many times faster.

    Everything is kept exactly: positions, cells, info, per-atom arrays, energies and forces.

    \b
    distdesc ingest qm9.xyz.xz -o structures.zarr
    distdesc featurise structures.zarr -o qm9.zarr
    """
    data = {
        "question": f"The structures of {source}, in columns.",
        "source": source_section(source, source_name),
        "stage": [{"name": "ingest"}],
        "store": {"path": output},
        "limits": {"quarantined_fraction": 1.0},
    }
    _run_flags(data, options, print_toml, accept_versions)


@click.command()
@JOB
@click.option("-o", "--output", type=click.Path(), help="Store, instead of the job's [store] path.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable; keys in docs/cli.md.")
@execution_options
def plan(job: str, output: str | None, as_json: bool, **options: Any) -> None:
    """
    Say what a JOB would do: shards, rows, memory and disk, before anything runs.

    The source is indexed, in memory; nothing is written.
    """
    from rich.console import Console

    from distdesc.engine.preview import preview
    from distdesc.report.plan_text import plan_table

    found = preview(_from_job(job, output, options))
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=1))
    else:
        Console().print(plan_table(found.to_dict()))


def _from_job(job: str, output: str | None, options: dict[str, Any]) -> Campaign:
    from distdesc.campaign import Campaign

    changes = overrides(**options)
    if output is not None:
        changes["store.path"] = output
    return Campaign.from_toml(job, changes)


def source_section(source: str, name: str | None) -> dict[str, Any]:
    """
    Section ``[source]`` of what a user typed.

    Parameters
    ----------
    source : str
        File, glob, folder or URL.
    name : str, optional
        Kind of source; guessed if None.
    """
    if name is not None:
        return {"name": name, "path": source}
    from distdesc.structures.guess import guess_source

    return guess_source(source)


def _run_flags(
    data: dict[str, Any], options: dict[str, Any], print_toml: bool, accept_versions: bool
) -> None:
    from distdesc.campaign import Campaign
    from distdesc.job import overridden

    campaign = Campaign.from_dict(overridden(data, overrides(**options)))
    if print_toml:
        click.echo(campaign.to_toml(), nl=False)
    else:
        _execute(campaign, accept_versions)


def _execute(
    campaign: Campaign,
    accept_versions: bool,
    share: Share | None = None,
    listeners: Sequence[Listener] = (),
) -> None:
    from rich.console import Console

    from distdesc.cli.progress import ProgressDisplay
    from distdesc.engine.run import run as run_campaign
    from distdesc.engine.share import ALL
    from distdesc.report.reader import open_run
    from distdesc.report.summary import summarise
    from distdesc.report.text import next_commands, summary_table

    console = Console(stderr=True)
    begun = time.perf_counter()
    with stoppable(), ProgressDisplay(console) as display:
        run_campaign(campaign, [display, *listeners], accept_versions, share or ALL)
    path = place(campaign.store.path)
    summary = summarise(open_run(path))
    rate = display.structures / display.seconds if display.seconds else 0.0
    out = Console()
    out.print(summary_table(summary, rate, time.perf_counter() - begun))
    out.print(next_commands(str(path), summary), highlight=False, soft_wrap=True, markup=False)
