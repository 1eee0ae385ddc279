"""Commands that look at stores and at what there is: list, status, report, verify, export."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from distdesc.cli.store_path import StorePath

if TYPE_CHECKING:
    from distdesc.place import Place
    from distdesc.report.reader import Run

STORE = click.argument("path", type=StorePath())
JSON = click.option(
    "--json", "as_json", is_flag=True, help="Machine-readable; keys in docs/cli.md."
)
KINDS = ("sources", "descriptors", "reductions", "stages", "executors", "sections", "jobs")


@click.command(name="list")
@click.argument("kind", type=click.Choice(KINDS), required=False)
@click.option(
    "--jobs",
    "folder",
    default="jobs",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder of job files.",
)
def list_(kind: str | None, folder: Path) -> None:
    """
    List what there is to choose from: sources, descriptors, reductions, stages, executors, jobs.

    With a KIND, its keys, their defaults and their meaning are shown too; "sections" are those
    sections of a job file that every campaign has.
    """
    from rich.console import Console

    from distdesc.engine.executors import EXECUTORS
    from distdesc.report.catalogue import catalogue
    from distdesc.report.text import catalogue_table

    for name in (kind,) if kind else KINDS:
        entries = catalogue(name, folder, EXECUTORS)
        Console().print(catalogue_table(name, entries, details=kind is not None))


@click.command()
@STORE
@JSON
@click.option("--all", "everything", is_flag=True, help="All quarantined structures, not 20.")
@click.option("--watch", "watching", is_flag=True,
              help="Look again and again until it is complete; Ctrl-C leaves.")  # fmt: skip
@click.option("--interval", default=5.0, show_default=True, type=click.FloatRange(0.1),
              metavar="S", help="Seconds from one look to the next, with --watch.")  # fmt: skip
def status(path: Place, as_json: bool, everything: bool, watching: bool, interval: float) -> None:
    """
    Say how far a run is and what was set aside, from its store alone.

    Works from any machine that sees the store, while the run goes on and after it died.
    """
    from rich.console import Console

    if watching:
        from distdesc.cli.watching import watch

        watch(path, interval, as_json)
        return
    from distdesc.report.reader import open_run
    from distdesc.report.summary import summarise
    from distdesc.report.text import quarantine_table, status_table

    summary = summarise(open_run(path))
    if as_json:
        click.echo(json.dumps(summary.to_dict(), indent=1))
        return
    console = Console()
    console.print(status_table(summary))
    if summary.quarantined:
        console.print(quarantine_table(summary, None if everything else 20))


@click.command()
@STORE
@JSON
@click.option("--features", default=12, show_default=True, type=click.IntRange(0), metavar="N",
              help="Features to show; 0 for none.")  # fmt: skip
@click.option("--figure", type=click.Path(dir_okay=False, path_type=Path),
              help="Draw what was found, e.g. found.png.")  # fmt: skip
def report(path: Place, as_json: bool, features: int, figure: Path | None) -> None:
    """
    Say what a run found, what it took, and where the time went.

    Of a run that decodes: how many structures came back, by size, and how exactly. Of one that
    looks for singular points: a census by kind, element and symmetry, and the environments that
    are seen least and best. Of a scan of sensitivity: which truncation is enough.
    """
    from rich.console import Console

    from distdesc.report.decoding import summarise_decoding
    from distdesc.report.decoding_text import decoding_table
    from distdesc.report.features import summarise_features
    from distdesc.report.reader import open_run
    from distdesc.report.sensitivity import summarise_sensitivity
    from distdesc.report.singular import summarise_singular
    from distdesc.report.singular_text import sensitivity_table, singular_table
    from distdesc.report.summary import summarise
    from distdesc.report.text import feature_table, summary_table, time_table

    run = open_run(path)
    summary = summarise(run)
    found = summarise_features(run) if features else None
    decoded = summarise_decoding(run)
    singular, scan = summarise_singular(run), summarise_sensitivity(run)
    if figure is not None:
        _draw(run, figure)
    if as_json:
        data = {
            **summary.to_dict(),
            "provenance": run.provenance(),
            "features": None if found is None else found.to_dict(),
            "decoding": None if decoded is None else decoded.to_dict(),
            "singular": None if singular is None else singular.to_dict(),
            "sensitivity": None if scan is None else scan.to_dict(),
        }
        click.echo(json.dumps(data, indent=1))
        return
    console = Console()
    console.print(summary_table(summary))
    console.print(time_table(summary))
    if found is not None:
        console.print(feature_table(found, features))
    if decoded is not None:
        console.print(decoding_table(decoded))
    if singular is not None:
        console.print(singular_table(singular))
    if scan is not None:
        console.print(sensitivity_table(scan))


def _draw(run: Run, figure: Path) -> None:
    """The figure of what a run is for."""
    from distdesc.report.figure import write_figure
    from distdesc.report.figure_sensitivity import write_sensitivity_figure
    from distdesc.report.figure_singular import write_singular_figure
    from distdesc.report.singular_rows import stage_of

    if "decode" not in run.stages and stage_of(run) is not None:
        write_singular_figure(run, figure)
    elif "decode" not in run.stages and "sensitivity" in run.stages:
        write_sensitivity_figure(run, figure)
    else:
        write_figure(run, figure)


@click.command()
@STORE
@JSON
@click.option(
    "--recompute",
    default=1,
    type=click.IntRange(0),
    show_default=True,
    help="Shards of each stage to compute anew and compare bit for bit.",
)
@click.option("--repair", is_flag=True, help="Withdraw faulty receipts; run again after it.")
@click.option("--shards", "share", default="", metavar="K/N",
              help="Only the K-th of N equal shares of the shards.")  # fmt: skip
def verify(path: Place, as_json: bool, recompute: int, repair: bool, share: str) -> None:
    """
    Check every object of a store against its receipt, and compute a sample anew.

    Exit code 4 if anything is wrong. What was never computed is not wrong: `distdesc status`
    shows it. The shares of a large store may be verified at the same time, on any machines.

    \b
    distdesc verify qm9.zarr
    distdesc verify qm9.zarr --shards 3/20
    """
    from rich.console import Console

    from distdesc.engine.share import Share
    from distdesc.engine.verify import verify as verify_store
    from distdesc.report.text import verification_table

    whose = Share.parse(share)
    console = Console(stderr=True)
    with console.status("verifying") as spinner:
        found = verify_store(
            path,
            recompute,
            repair,
            tick=lambda done, total: spinner.update(f"verifying shard {done} of {total}"),
            share=whose,
        )
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=1))
    else:
        Console().print(verification_table(found.to_dict()))
    if found.faults:
        sys.exit(4)


@click.command()
@STORE
@click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path),
    help="File to write: .npz, .parquet, .xyz, .extxyz or .db.",
)  # fmt: skip
@click.option("--structures", default="", metavar="A:B", help="Structures, half-open; or one.")
def export(path: Place, output: Path, structures: str) -> None:
    """
    Write a store's rows to a file that other programs read.

    \b
    .npz       arrays for numpy: fingerprint, status, structure, atom, number
    .parquet   one line an environment or structure, one column a feature
    .xyz       the structures in extended XYZ, fingerprints and status as per-atom arrays

    Stores that are pooled or sparse go to .npz or .parquet; what is sparse stays sparse.
    Of a run that decodes, the structures that were found go to .xyz, or to .db, a database of
    ASE, each with its place in the source, verdict, residual and errors. Of a run that looks for
    singular points, the flagged environments go to .xyz, with the motion that is not seen as the
    per-atom array null_motion, the singular point, and the degenerate pair if there is one.
    """
    from distdesc.report.export import export as export_rows
    from distdesc.report.reader import open_run

    run = open_run(path)
    written = export_rows(run, output, structures)
    click.echo(f"{output}: {written:,} rows")
    if not run.complete:
        click.echo(f"{path} is not complete: what is not computed yet has no values", err=True)
