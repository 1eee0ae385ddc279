"""The worker's and the client's side: they tell the scheduler's board what happens."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from types import TracebackType

from distributed import Client, get_worker
from distributed.comm import CommClosedError

from distdesc.monitor.board import Board, begin
from distdesc.monitor.messages import TOPIC, done_message, over_message, problem_message
from distdesc.monitor.tally import Tally
from distdesc.store.receipts import Receipt

log = logging.getLogger(__name__)


class AttemptReport:
    """
    What the board is told of an attempt on a worker; a context manager around it.

    Parameters
    ----------
    campaign : str
        Its digest; if empty, nobody is told.
    stage : str
        Name of the stage.
    shard : int
        Number of the shard.
    """

    def __init__(self, campaign: str, stage: str, shard: int) -> None:
        self.campaign, self.stage, self.shard = campaign, stage, shard
        self._began = time.time()

    def __enter__(self) -> AttemptReport:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Tell of an error, which goes on its way."""
        if self.campaign and isinstance(error, Exception):
            reason = f"{type(error).__name__}: {error}"
            message = problem_message("tried again", self.campaign, self.stage, self.shard, reason)
            get_worker().log_event(TOPIC, message)

    def done(self, receipt: Receipt) -> None:
        """
        Tell that the shard is done, and count it in the metrics of this worker.

        Parameters
        ----------
        receipt : Receipt
            Of this attempt, or of an earlier one.
        """
        if not self.campaign:
            return
        get_worker().log_event(TOPIC, done_message(receipt))
        if receipt.finished >= self._began and find_spec("prometheus_client") is not None:
            import_module("distdesc.monitor.metrics").observe(receipt)


class Follower:
    """
    The board of a scheduler, as the client of a campaign sees it.

    Parameters
    ----------
    client : distributed.Client
        Connected.
    tally : Tally
        Of the campaign, with what earlier runs did.
    """

    def __init__(self, client: Client, tally: Tally) -> None:
        self.client, self.campaign = client, tally.digest
        self.shown = False
        try:
            client.register_plugin(Board())
            self.shown = client.run_on_scheduler(begin, tally, client.id)
        except (ImportError, ValueError, AttributeError, KeyError, CommClosedError) as error:
            # Such as a scheduler without distdesc: the run does not need it.
            log.warning("the scheduler cannot show the campaign: %s", error)
            self.campaign = ""

    def problem(self, kind: str, stage: str, shard: int, reason: str) -> None:
        """
        Tell of a problem, see `Problem`.

        Parameters
        ----------
        kind, stage, shard, reason
            As there.
        """
        self._tell(problem_message(kind, self.campaign, stage, shard, reason))

    def over(self) -> None:
        """Tell that the run ends."""
        self._tell(over_message(self.campaign))

    def _tell(self, message: dict[str, object]) -> None:
        if self.campaign and self.client.status == "running":
            with suppress(CommClosedError, OSError, TimeoutError):
                self.client.log_event(TOPIC, message)
