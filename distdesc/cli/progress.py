"""Progress of a run on the terminal: a bar for people, a line now and then for log files."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
)

from distdesc.engine.events import (
    Announced,
    Event,
    FitFinished,
    PartFinished,
    PassStarted,
    RunStarted,
    ScanProgressed,
    ShardFailed,
    ShardFinished,
    ShardIsolated,
)
from distdesc.monitor.facts import CampaignFacts
from distdesc.monitor.tally import Tally
from distdesc.monitor.words import duration, per_second
from distdesc.report.fits import variance_words
from distdesc.report.numbers import counted
from distdesc.store.fits import Fitted

LINE_EVERY = 30.0
"""Seconds between lines where there is no terminal."""

REDRAW_EVERY = 0.5
"""Seconds between looks at the facts: shards may be done faster than anybody reads."""


class ProgressDisplay:
    """
    Listener that shows a run; a context manager.

    Parameters
    ----------
    console : rich.console.Console
        Standard error, so that standard output stays clean.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.structures = 0
        self.quarantined: set[int] = set()
        self.seconds = 0.0
        self._begun = time.monotonic()
        self._spoken = time.monotonic()
        self._drawn = 0.0
        self._shards = (0, 0)
        self._tally: Tally | None = None
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            console=console,
            expand=True,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> ProgressDisplay:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the bar off the screen."""
        self._bar.stop()

    def __call__(self, event: Event) -> None:
        """
        Show an event.

        Parameters
        ----------
        event : Event
            What happened.
        """
        match event:
            case Announced(text):
                self._drop()
                self.console.print(f"[dim]· {escape(text)}[/dim]", soft_wrap=True)
            case ScanProgressed(done, total):
                self._scan(done, total)
            case PassStarted():
                self._start_pass(event)
            case PartFinished():
                self._advance_pass()
            case FitFinished(fitted, n):
                self._end_fit(fitted, n)
            case RunStarted():
                self._start(event)
            case ShardFinished(receipt):
                self.structures += receipt.structures
                self.quarantined.update(k for k, _ in receipt.quarantined)
                self._advance()
            case ShardIsolated(stage, shard, reason):
                self.console.print(
                    f"[yellow]shard {stage}-{shard:08d} computed in a process of its own:[/yellow] "
                    f"{escape(reason)}"
                )
            case ShardFailed(stage, shard, reason):
                self.console.print(f"[red]shard {stage}-{shard:08d} failed:[/red] {escape(reason)}")
                self._advance()

    def _scan(self, done: int, total: int) -> None:
        if self._task is None:
            self._task = self._bar.add_task("indexing", total=total, rate="")
        self._bar.update(self._task, completed=done, total=total)

    def _start_pass(self, event: PassStarted) -> None:
        self._drop()
        self._begun = self._spoken = time.monotonic()
        self._shards = (event.parts_done, event.layout.parts)
        fit = event.layout
        resumed = f", {event.parts_done} of them done before" if event.parts_done else ""
        self.console.print(
            f"fitting {fit.reduction}, pass {event.number + 1} of {fit.passes}: "
            f"{fit.n_features:,} → {fit.n_components:,} numbers on {fit.environments:,} "
            f"environments in {fit.parts:,} parts{resumed}",
            highlight=False,
        )
        self._task = self._bar.add_task(
            "fitting", total=fit.parts, completed=event.parts_done, rate=""
        )

    def _advance_pass(self) -> None:
        done, total = self._shards
        self._shards = (done + 1, total)
        if self._task is not None:
            left = (time.monotonic() - self._begun) * (total - done - 1) / (done + 1)
            self._bar.update(self._task, completed=done + 1, rate=f"{duration(left)} left")
        if not self.console.is_terminal and time.monotonic() - self._spoken > LINE_EVERY:
            self._spoken = time.monotonic()
            self.console.print(f"{done + 1}/{total} parts of the fit", highlight=False)

    def _end_fit(self, fitted: Fitted, n_components: int) -> None:
        self._drop()
        if fitted.explained:
            self.console.print(
                f"{n_components:,} components have {variance_words(sum(fitted.explained))} of the "
                f"variance of {fitted.environments:,} environments",
                highlight=False,
            )

    def _start(self, event: RunStarted) -> None:
        self._drop()
        self._begun = self._spoken = time.monotonic()
        self.structures, self.quarantined = 0, set()
        self._shards = (event.shards_done, event.shards)
        resumed = f", {event.shards_done} of them done before" if event.shards_done else ""
        self.console.print(
            f"{event.structures:,} structures, {event.rows:,} rows in "
            f"{counted(event.shards, 'shard')}{resumed}; {counted(event.workers, 'worker')}",
            highlight=False,
        )
        if event.dashboard:
            self.console.print(f"dashboard: {event.dashboard}", soft_wrap=True)
        if event.page:
            self.console.print(f"campaign: {event.page}", soft_wrap=True)
        if event.tunnel:
            self.console.print(f"reached by: {event.tunnel}", soft_wrap=True, highlight=False)
        self._tally = event.tally
        self._task = self._bar.add_task(
            "shards", total=event.shards, completed=event.shards_done, rate="starting"
        )

    def _advance(self) -> None:
        done, total = self._shards
        self._shards = (done + 1, total)
        self.seconds = time.monotonic() - self._begun
        if self._task is not None:
            self._bar.update(self._task, completed=done + 1)
        speaks = not self.console.is_terminal
        since = time.monotonic() - (self._spoken if speaks else self._drawn)
        if self._tally is None or since < (LINE_EVERY if speaks else REDRAW_EVERY):
            return
        words = rate_words(self._tally.facts(time.time()))
        if speaks:
            self._spoken = time.monotonic()
            line = f"{done + 1}/{total} shards · {words}"
            self.console.print(line, highlight=False, soft_wrap=True)
        elif self._task is not None:
            self._drawn = time.monotonic()
            self._bar.update(self._task, rate=words)

    def _drop(self) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None


def rate_words(facts: CampaignFacts) -> str:
    """
    Rate, time left and what went wrong, in a few words.

    Parameters
    ----------
    facts : CampaignFacts
        Of a run.
    """
    words = [f"{per_second(facts.rate_now.structures)} structures/s"]
    left = facts.time_left
    if left is not None:
        words.append(f"{duration(left.seconds)} left ({duration(left.low)}–{duration(left.high)})")
    words.append(f"{facts.quarantined_structures:,} quarantined")
    if facts.shards.failed:
        words.append(f"{facts.shards.failed:,} failed")
    return " · ".join(words)
