"""What a run knows of itself while it goes on: done, failed, quarantined, and when to stop."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from distdesc.engine.events import Listener, ShardFailed, ShardFinished, ShardIsolated
from distdesc.engine.executors.executor import Outcome
from distdesc.engine.plan import Task
from distdesc.errors import (
    CampaignError,
    DistdescError,
    LastingError,
    RunError,
    SourceBusyError,
    SourceError,
    StoreError,
    is_denied,
)
from distdesc.monitor.tally import Tally
from distdesc.store.receipts import Receipt
from distdesc.structures.places import REFUSED

SYSTEMIC = 3
"""Shards that may fail while none has succeeded, before the run is stopped."""


@dataclass
class Ledger:
    """
    Computed from receipts and outcomes, never stored.

    Parameters
    ----------
    limit : int
        Structures that may be quarantined.
    done : int
        Shards with a receipt.
    gained : int
        Those of them that this run did.
    failed : list of tuple of Task and str
        Shards given up, with the last error.
    quarantined : set of int
        Structures set aside; files that are refused are none.
    tally : Tally, optional
        Kept up to date for those who watch the run.
    projection : str
        Digest of the projection that rows must have been reduced by; empty if there is none.
    """

    limit: int
    done: int = 0
    gained: int = 0
    failed: list[tuple[Task, str]] = field(default_factory=list)
    quarantined: set[int] = field(default_factory=set)
    tally: Tally | None = None
    projection: str = ""

    def add(self, receipt: Receipt) -> None:
        """
        Count what a receipt quarantined.

        Parameters
        ----------
        receipt : Receipt
            Of any attempt.

        Raises
        ------
        LastingError
            If too much is quarantined.
        """
        self.quarantined.update(
            k for k, reason in receipt.quarantined if not reason.startswith(REFUSED)
        )
        if self.tally is not None:
            self.tally.add(receipt)
        if len(self.quarantined) > self.limit:
            last, reason = receipt.quarantined[-1] if receipt.quarantined else (-1, "")
            raise LastingError(
                f"more than {self.limit} structures are quarantined, the "
                f"[limits] quarantined_fraction; the last is structure {last}: {reason}. "
                f"`distdesc status` lists them; correct the input or raise the limit, and run "
                f"the same command again"
            )

    def account(self, outcome: Outcome, tell: Listener) -> None:
        """
        Count how a task ended.

        Parameters
        ----------
        outcome : Outcome
            What the executor said.
        tell : callable
            Told the event.

        Raises
        ------
        RunError
            If the error concerns the whole run, or the shard is of another projection.
        LastingError
            If that would meet the next run as well, or nothing but errors came so far.
        """
        if outcome.crash:
            tell(ShardIsolated(outcome.task.stage, outcome.task.shard, outcome.crash))
        if outcome.receipt is not None:
            if outcome.receipt.shard != outcome.task.shard:
                raise RunError(f"{outcome.task.key} was answered by another shard's receipt")
            if not outcome.receipt.suits(self.projection):
                raise RunError(
                    f"{outcome.task.key} was reduced by another projection than this run began "
                    f"with; run the same command again"
                )
            self.done += 1
            self.gained += 1
            if self.tally is not None:
                self.tally.add(outcome.receipt, time.time())
            tell(ShardFinished(outcome.receipt))
            self.add(outcome.receipt)
            return
        error = outcome.error
        if isinstance(error, (DistdescError, OSError)):
            # Of the run as a whole, such as a full disk or a changed input: more would follow.
            kind = LastingError if self._lasts(error) else RunError
            raise kind(f"{outcome.task.key}: {error}") from error
        reason = f"{type(error).__name__}: {error}"
        self.failed.append((outcome.task, reason))
        if self.tally is not None:
            self.tally.fail(outcome.task.stage, outcome.task.shard, reason, time.time())
        tell(ShardFailed(outcome.task.stage, outcome.task.shard, reason))
        if not self.done and len(self.failed) >= SYSTEMIC:
            raise LastingError(f"the first {SYSTEMIC} shards failed, the last with {reason}")

    def given_up(self, what: str) -> RunError:
        """
        Error of a run that is over but for what failed.

        Parameters
        ----------
        what : str
            Failed, in the plural.
        """
        names = ", ".join(task.key for task, _ in self.failed[:5])
        said = (
            f"{len(self.failed)} {what} failed after all attempts ({names}), and this run did "
            f"{self.gained or 'none'}; the last error: {self.failed[-1][1]}. "
        )
        if self.gained:
            return RunError(f"{said}Run the same command again to try them once more")
        return LastingError(f"{said}Another try will hardly do more; see what the error says")

    def _lasts(self, error: BaseException) -> bool:
        """
        Whether an error of the run as a whole would meet the next run as well.

        The client has just read the input and written to the store. Workers that never could do
        so never will; if they could before, the next run will see what has changed.
        """
        if isinstance(error, (SourceError, StoreError)) or is_denied(error):
            return not self.done and not isinstance(error, SourceBusyError)
        return isinstance(error, (CampaignError, LastingError))
