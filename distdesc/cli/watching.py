"""A run watched on a terminal: the facts again and again, from the store alone."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from distdesc.monitor.facts import PARTS, CampaignFacts, Problem
from distdesc.monitor.watch import StoreWatch
from distdesc.monitor.words import duration, per_second, time_left_words
from distdesc.place import Place

MOST = 6
"""Problems and slow shards that are shown."""


def watch(path: Place, interval: float, as_json: bool) -> None:
    """
    Show how far a run is until it is complete, or Ctrl-C.

    On a terminal the screen is drawn anew; elsewhere there is a line each time, or with
    `as_json` an object.

    Parameters
    ----------
    path : Place
        The store.
    interval : float
        Seconds from one look to the next.
    as_json : bool
        For machines.
    """
    console = Console()
    looks = _looks(StoreWatch(path), interval)
    try:
        if as_json:
            for facts in looks:
                click.echo(json.dumps(facts.to_dict()))
        elif console.is_terminal:
            with Live(console=console, auto_refresh=False) as live:
                for facts in looks:
                    live.update(screen(facts), refresh=True)
        else:
            for facts in looks:
                console.print(line(facts), soft_wrap=True, highlight=False)
    except KeyboardInterrupt:
        return


def _looks(store: StoreWatch, interval: float) -> Iterator[CampaignFacts]:
    while True:
        facts = store.look(time.time())
        yield facts
        if facts.state == "complete":
            return
        time.sleep(interval)


def line(facts: CampaignFacts) -> str:
    """
    The facts in one line.

    Parameters
    ----------
    facts : CampaignFacts
        Of a campaign.
    """
    s = facts.shards
    words = [f"{s.done:,}/{s.total:,} shards", facts.state]
    if facts.state == "running":
        words.append(f"{per_second(facts.rate_now.structures)} structures/s")
        words.append(f"left: {time_left_words(facts.time_left)}")
    words.append(f"{facts.quarantined_structures:,} quarantined")
    if s.failed:
        words.append(f"{s.failed:,} failed")
    return " · ".join(words)


def screen(facts: CampaignFacts) -> RenderableType:
    """
    The facts on a screen.

    Parameters
    ----------
    facts : CampaignFacts
        Of a campaign.
    """
    colour = {"running": "blue", "complete": "green"}.get(facts.state, "red")
    head = Text.assemble((f" {facts.state} ", f"white on {colour}"), f" {facts.question}")
    return Group(head, _numbers(facts), _stages(facts), *_slowest(facts), *_problems(facts))


def _numbers(facts: CampaignFacts) -> Table:
    table = Table(show_header=False, box=None)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    s, now, run = facts.shards, facts.rate_now, facts.rate_run
    table.add_row("store", f"{escape(facts.store)}  [dim]{facts.digest}[/dim]")
    table.add_row("shards", f"{s.done:,} of {s.total:,} ({100 * s.done / max(1, s.total):.0f} %)")
    if facts.state == "running":
        table.add_row(
            "now", f"{per_second(now.structures)} structures/s, {per_second(now.rows)} rows/s"
        )
    table.add_row(
        "since it went on",
        f"{per_second(run.structures)} structures/s, {per_second(run.rows)} rows/s "
        f"in {duration(run.seconds)}",
    )
    if facts.state != "complete":
        table.add_row("time left", time_left_words(facts.time_left))
    table.add_row("set aside", f"{facts.quarantined_structures:,} structures")
    if facts.workers:
        most = max(w.memory for w in facts.workers)
        table.add_row("workers", f"{len(facts.workers):,}, the largest took {most / 2**30:.2f} GiB")
    return table


def _stages(facts: CampaignFacts) -> Table:
    table = Table(box=None)
    for name in ("stage", "", "shards", "rows", "a shard", *PARTS):
        table.add_column(name, justify="left" if name in ("stage", "") else "right", no_wrap=True)
    for s in facts.stages:
        total = sum(s.seconds.values())
        shares = [f"{100 * s.seconds[p] / total:.0f} %" if total else "-" for p in PARTS]
        table.add_row(
            s.stage,
            ProgressBar(total=s.shards.total, completed=s.shards.done, width=20),
            f"{s.shards.done:,}/{s.shards.total:,}",
            f"{s.rows_done:,}",
            duration(s.shard_seconds) if total else "-",
            *shares,
        )
    return table


def _slowest(facts: CampaignFacts) -> Iterator[RenderableType]:
    if facts.slowest:
        words = (f"{t.stage} {t.shard:,} {duration(t.seconds)}" for t in facts.slowest[:MOST])
        yield Text(f" slowest shards: {', '.join(words)}", style="dim")


def _problems(facts: CampaignFacts) -> Iterator[RenderableType]:
    for problem in facts.problems[:MOST]:
        yield Text(f" {_clock(problem)} {where(problem)} {problem.kind}: {problem.reason}")


def where(problem: Problem) -> str:
    """
    What a problem is about.

    Parameters
    ----------
    problem : Problem
        Any.
    """
    shard = f"{problem.stage} {problem.shard:,}"
    return shard if problem.structure is None else f"structure {problem.structure:,} ({shard})"


def _clock(problem: Problem) -> str:
    return time.strftime("%H:%M:%S", time.localtime(problem.time))
