"""Numbers as tables for people."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from distdesc.elements import symbol_of
from distdesc.report.catalogue import Entry
from distdesc.report.features import FeatureSummary
from distdesc.report.fits import reduction_words
from distdesc.report.numbers import counted
from distdesc.report.summary import Summary
from distdesc.structures.places import FileCounts


def size(n: float) -> str:
    """
    Bytes in words.

    Parameters
    ----------
    n : float
        Bytes.
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if n < 1024:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1024
    return f"{n:.1f} TiB" if n < 1024 else f"{n / 1024:.1f} PiB"


def summary_table(summary: Summary, rate: float | None = None, wall: float | None = None) -> Table:
    """
    Table of a run's numbers.

    Parameters
    ----------
    summary : Summary
        The numbers.
    rate : float, optional
        Structures per second of the run that has just ended.
    wall : float, optional
        Wall time of the command, in s.
    """
    table = facts_table(f"{escape(summary.path)}  [dim]{summary.digest}[/dim]")
    if summary.question:
        table.add_row("question", escape(summary.question))
    table.add_row("structures", f"{summary.structures:,}")
    if summary.files is not None and (summary.files.total > 1 or summary.files.refused):
        table.add_row("files", files_words(summary.files))
    if summary.fit is not None:
        table.add_row("reduction", reduction_words(summary.fit))
    for stage in summary.stages:
        kinds = {"ok": stage.ok, "failed": stage.failed, "quarantined": stage.quarantined}
        parts = ", ".join(f"{n:,} {kind}" for kind, n in kinds.items() if n or kind == "ok")
        missing = stage.rows - stage.rows_done
        table.add_row(
            f"{stage.stage} rows",
            f"{parts}" + (f", [yellow]{missing:,} not computed yet[/yellow]" if missing else ""),
        )
    table.add_row("quarantined", _quarantined(summary))
    if rate is not None and wall is not None:
        speed = f"{rate:,.0f} structures/s" if rate else "nothing was left to do"
        table.add_row("throughput", f"{speed}, {wall:.1f} s with start-up")
    table.add_row("store", size(summary.bytes))
    return table


def files_words(files: FileCounts) -> str:
    """
    What became of the files of a source, in words.

    Parameters
    ----------
    files : FileCounts
        How many.
    """
    kinds = {
        "all used": files.whole,
        "used in part": files.partly,
        "read, but nothing used": files.none,
        "refused": files.refused,
    }
    parts = [f"{n:,} {kind}" for kind, n in kinds.items() if n or kind == "all used"]
    text = f"{files.total:,}: {', '.join(parts)}"
    return f"[yellow]{text}[/yellow]" if files.refused else text


def _quarantined(summary: Summary) -> str:
    if not summary.quarantined:
        return "none"
    kinds = "; ".join(f"{n:,} × {escape(kind)}" for kind, n in summary.reasons().most_common(4))
    return f"[yellow]{len(summary.quarantined):,} structures[/yellow]: {kinds}"


def next_commands(path: str, summary: Summary) -> str:
    """
    Text that says what to type next.

    Parameters
    ----------
    path : str
        Folder of the store.
    summary : Summary
        Its numbers.
    """
    path = shlex.quote(path)
    if summary.quarantined:
        return f"next: distdesc status {path}"
    if any(s.stage == "ingest" for s in summary.stages):
        return f"next: distdesc featurise {path} -o fingerprints.zarr"
    return f"next: distdesc report {path}"


def status_table(summary: Summary) -> Table:
    """
    Table of how far each stage of a run is.

    Parameters
    ----------
    summary : Summary
        The numbers.
    """
    state = "[green]complete[/green]" if summary.complete else "[yellow]not complete[/yellow]"
    table = Table(title=f"{escape(summary.path)}  {state}", title_justify="left", box=None)
    for name in ("stage", "shards", "rows", "ok", "failed", "quarantined", "rows/s"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    if summary.fit is not None and summary.fit.passes:
        f = summary.fit
        elapsed = f.last - f.first
        table.add_row(
            "fit",
            f"{f.parts_done:,}/{f.parts:,}",
            f"{f.rows_done:,}/{f.rows:,}",
            f"{f.ok:,}",
            "0",
            f"{f.quarantined:,}",
            f"{f.rows_done / elapsed:,.0f}" if elapsed > 0 else "-",
        )
    for s in summary.stages:
        elapsed = s.last - s.first
        table.add_row(
            s.stage,
            f"{s.shards_done:,}/{s.shards:,}",
            f"{s.rows_done:,}/{s.rows:,}",
            f"{s.ok:,}",
            f"{s.failed:,}",
            f"{s.quarantined:,}",
            f"{s.rows_done / elapsed:,.0f}" if elapsed > 0 else "-",
        )
    return table


def quarantine_table(summary: Summary, most: int | None) -> RenderableType:
    """
    Table of structures that were set aside, and why.

    Parameters
    ----------
    summary : Summary
        The numbers.
    most : int or None
        Lines at most; None for all.
    """
    table = Table(title="quarantined", title_justify="left", box=None)
    table.add_column("structure", justify="right")
    if summary.places:
        table.add_column("file", overflow="fold")
        table.add_column("there", justify="right")
    table.add_column("reason", overflow="fold")
    for k, (structure, reason) in enumerate(sorted(summary.quarantined.items())):
        if most is not None and k == most:
            rest = len(summary.quarantined) - most
            return Group(table, Text(f"… and {rest:,} more (--all)", style="dim"))
        file, position = summary.places.get(structure, ("", -1))
        where = (Text(Path(file).name), f"{position}") if summary.places else ()
        table.add_row(str(structure), *where, Text(reason))
    return table


def time_table(summary: Summary) -> Table:
    """
    Table of where the workers' time went.

    Parameters
    ----------
    summary : Summary
        The numbers.
    """
    table = Table(title="where the time went", title_justify="left", box=None)
    for name in ("stage", "activity", "worker seconds", "share"):
        table.add_column(name, justify="left" if name in ("stage", "activity") else "right")
    spent = {stage.stage: stage.seconds for stage in summary.stages}
    if summary.fit is not None and summary.fit.seconds:
        spent = {"fit": summary.fit.seconds, **spent}
    for stage, times in spent.items():
        total = times.get("total", 0.0)
        named = {k: v for k, v in times.items() if k != "total"}
        named["other"] = max(0.0, total - sum(named.values()))
        for activity, seconds in sorted(named.items(), key=lambda item: -item[1]):
            share = f"{seconds / total:.1%}" if total else "-"
            table.add_row(stage, activity, f"{seconds:.2f}", share)
    return table


def feature_table(found: FeatureSummary, most: int) -> Group:
    """
    Table of the features that vary most and of the centres' elements.

    Parameters
    ----------
    found : FeatureSummary
        Statistics.
    most : int
        Features at most.
    """
    elements = ", ".join(f"{symbol_of(z)} {n:,}" for z, n in found.elements.items())
    order = sorted(range(len(found.names)), key=lambda k: -_key(found.deviation[k]))
    table = Table(
        title=f"features that vary most, of {len(found.names):,} ({found.constant} constant)",
        title_justify="left",
        box=None,
    )
    for name in ("feature", "min", "mean", "max", "deviation"):
        table.add_column(name, justify="left" if name == "feature" else "right")
    for k in order[:most]:
        numbers = (found.minimum[k], found.mean[k], found.maximum[k], found.deviation[k])
        table.add_row(Text(found.names[k]), *(f"{v:.4g}" for v in numbers))
    return Group(table, Text(f"{found.rows:,} {found.row_kind}s" + (elements and f": {elements}")))


def _key(value: float) -> float:
    return -1.0 if math.isnan(value) else value


def verification_table(found: dict[str, Any]) -> Group:
    """
    Result of a verification.

    Parameters
    ----------
    found : dict
        What `Verification.to_dict` returned.
    """
    facts = facts_table(escape(found["path"]))
    if found["share"]:
        facts.add_row("share", found["share"].replace("-", " "))
    facts.add_row("shards", f"{found['shards_done']:,} of {found['shards']:,} done")
    facts.add_row("objects", f"{found['objects']:,} checked, {size(found['bytes'])}")
    anew = f"{counted(found['recomputed'], 'shard')}, compared bit for bit"
    facts.add_row("computed anew", escape(found["not_recomputed"]) or anew)
    good = "[green]none[/green]"
    facts.add_row("faults", f"[red]{len(found['faults'])}[/red]" if found["faults"] else good)
    table = Table(box=None)
    if found["faults"]:
        for name in ("shard", "array", "fault"):
            table.add_column(name, overflow="fold")
        for f in found["faults"]:
            table.add_row(
                f"{f['stage']}-{f['shard']:08d}", f["array"] or "receipt", escape(f["what"])
            )
        done = "receipts withdrawn; run the campaign again" if found["repaired"] else (
            "distdesc verify --repair, then the run command again, computes them anew"
        )  # fmt: skip
        return Group(facts, table, Text(done))
    return Group(facts)


def catalogue_table(kind: str, entries: list[Entry], details: bool) -> Table:
    """
    Table of things to choose from.

    Parameters
    ----------
    kind : str
        What they are.
    entries : list of Entry
        The things.
    details : bool
        Also show keys and defaults.
    """
    table = Table(title=kind, title_justify="left", box=None, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for entry in entries:
        table.add_row(Text(entry.name, style="bold"), Text(entry.about))
        if details:
            for key, (default, meaning) in entry.keys.items():
                table.add_row(
                    Text(f"  {key}"), Text.assemble((default, "bold dim"), f"  {meaning}")
                )
    if not entries:
        table.add_row(Text("none here", style="dim"), "")
    return table


def facts_table(title: str) -> Table:
    """
    Empty table of names and values.

    Parameters
    ----------
    title : str
        What they are of.
    """
    table = Table(title=title, title_justify="left", show_header=False, box=None)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table
