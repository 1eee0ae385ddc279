"""The scheduler's side: a plugin that follows campaigns and serves what is known of them."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Mapping
from heapq import nsmallest
from importlib import import_module
from typing import Any

from distributed import Scheduler
from distributed.diagnostics.plugin import SchedulerPlugin
from distributed.http.utils import RequestHandler

from distdesc.monitor.facts import CampaignFacts, ShardTime, WorkerFacts
from distdesc.monitor.messages import TOPIC, apply
from distdesc.monitor.tally import Tally

NAME = "distdesc"
"""Of the plugin; a scheduler has one."""

PAGE = "campaign"
"""Of the dashboard, and of the JSON beside it."""

TARGETS = "prometheus-targets.json"
"""Address of the list of workers that Prometheus can ask for."""

KEPT = 8
"""Campaigns that are kept, the latest."""

FRESH = 0.5
"""Seconds for which facts are not computed anew, however many ask for them."""


LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Board(SchedulerPlugin):  # type: ignore[misc]
    """
    Campaigns on a scheduler, the latest last.

    It hears of shards by messages, and looks at the scheduler's tasks and workers only when
    somebody asks: following a campaign costs the scheduler next to nothing.
    """

    name = NAME
    idempotent = True

    def __init__(self) -> None:
        self.tallies: dict[str, Tally] = {}
        self.scheduler: Scheduler | None = None
        self._facts: dict[str, CampaignFacts] = {}
        self._clients: dict[str, str] = {}

    async def start(self, scheduler: Scheduler) -> None:
        """
        Take up work on a scheduler, and add the pages to its web server.

        Parameters
        ----------
        scheduler : distributed.Scheduler
            The scheduler.
        """
        self.scheduler = scheduler
        serve(scheduler, self)

    async def close(self) -> None:
        """Withdraw the metrics from this process, which may go on."""
        metrics = _optional("distdesc.monitor.metrics", "prometheus_client")
        if metrics is not None:
            metrics.withdraw(self)

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """
        Note that the run of a client is over, whether it said so or was killed.

        Parameters
        ----------
        scheduler : distributed.Scheduler
            The scheduler.
        client : str
            Its name.
        """
        tally = self.tallies.get(self._clients.pop(client, ""))
        if tally is not None and tally.state == "running":
            tally.end(time.time())

    def begin(self, tally: Tally, client: str) -> None:
        """
        Follow a campaign from here on.

        Parameters
        ----------
        tally : Tally
            With what earlier runs did.
        client : str
            Name of the client that runs it.
        """
        self._clients[client] = tally.digest
        self.tallies.pop(tally.digest, None)
        tally.begin(time.time())
        self.tallies[tally.digest] = tally
        while len(self.tallies) > KEPT:
            del self.tallies[next(iter(self.tallies))]

    def log_event(self, topic: str, msg: Any) -> None:
        """
        Enter what a worker or client tells.

        Parameters
        ----------
        topic : str
            Of Dask's events.
        msg : dict
            A message, see `distdesc.monitor.messages`.
        """
        if topic == TOPIC and isinstance(msg, Mapping):
            tally = self.tallies.get(msg["campaign"])
            if tally is not None:
                apply(tally, msg, time.time())

    def facts(self, digest: str = "") -> CampaignFacts | None:
        """
        Facts of a campaign.

        Parameters
        ----------
        digest : str
            Of the campaign; empty for the latest.

        Returns
        -------
        CampaignFacts or None
            None if there is no such campaign.
        """
        digest = digest or next(reversed(self.tallies), "")
        tally = self.tallies.get(digest)
        if tally is None:
            return None
        now = time.time()
        known = self._facts.get(digest)
        if known is None or now - known.now > FRESH or known.state != tally.state:
            known = tally.facts(now, self._running(tally), self._workers())
            self._facts[digest] = known
        return known

    def _running(self, tally: Tally) -> Iterator[ShardTime]:
        workers = {} if self.scheduler is None else self.scheduler.workers
        for worker in workers.values():
            for key, seconds in _under_way(worker):
                stage, shard = shard_of(key)
                if stage in tally.stages:
                    rows = tally.stages[stage].rows_of(shard)
                    yield ShardTime(stage, shard, seconds, rows, _label(worker), False)

    def _workers(self) -> Iterator[WorkerFacts]:
        workers = {} if self.scheduler is None else self.scheduler.workers
        for worker in workers.values():
            key, seconds = next(iter(_under_way(worker)), ("", 0.0))
            stage, shard = shard_of(key)
            yield WorkerFacts(
                name=_label(worker),
                memory=int(worker.metrics.get("memory", 0)),
                limit=int(worker.memory_limit or 0),
                task=f"{stage} {shard}" if stage else "",
                seconds=seconds,
            )


def shard_of(key: object) -> tuple[str, int]:
    """
    Stage and shard of a task of ours, by its name.

    Parameters
    ----------
    key : object
        Of any task; of those that are not ours the stage is empty.
    """
    words = str(key).split("-")
    for k in range(1, len(words)):
        if len(words[k]) == 8 and words[k].isdecimal():
            return "-".join(words[:k]), int(words[k])
    return "", 0


def begin(tally: Tally, client: str, dask_scheduler: Scheduler | None = None) -> bool:
    """
    Have the board of a scheduler follow a campaign; runs on the scheduler.

    Parameters
    ----------
    tally : Tally
        With what earlier runs did.
    client : str
        Name of the client that runs it.
    dask_scheduler : distributed.Scheduler
        Filled in by Dask.

    Returns
    -------
    bool
        Whether there is a page to look at.
    """
    if dask_scheduler is None:
        return False
    board: Board = dask_scheduler.plugins[NAME]
    board.begin(tally, client)
    return bool(dask_scheduler.http_application.applications)


def serve(scheduler: Scheduler, board: Board) -> None:
    """
    Add page, JSON and metrics of a board to the scheduler's web server.

    Parameters
    ----------
    scheduler : distributed.Scheduler
        The scheduler.
    board : Board
        Its board.
    """
    prefix = (getattr(scheduler, "_http_prefix", "") or "").strip("/")
    root = f"/{prefix}/" if prefix else "/"
    given = {"dask_server": scheduler, "extra": {}}
    routes = [(f"{root}{PAGE}.json", CampaignJSON, given), (f"{root}{TARGETS}", Targets, given)]
    scheduler.http_application.add_handlers(r".*", routes)
    if scheduler.http_application.applications:
        # Without a dashboard, Bokeh need not be there.
        import_module("distdesc.monitor.page").add_page(scheduler, board, prefix)
    metrics = _optional("distdesc.monitor.metrics", "prometheus_client")
    if metrics is not None:
        metrics.publish(board)


class CampaignJSON(RequestHandler):  # type: ignore[misc]
    """``/campaign.json``: the facts of the latest campaign, or of ``?digest=…``."""

    def get(self) -> None:
        """Answer with the facts, or with 404 if there is no such campaign."""
        board = self.server.plugins.get(NAME)
        facts = None if board is None else board.facts(self.get_argument("digest", ""))
        if facts is None:
            self.set_status(404)
            self.write({"error": "no such campaign on this scheduler"})
            return
        self.write({**facts.to_dict(), "campaigns": list(board.tallies)})


class Targets(RequestHandler):  # type: ignore[misc]
    """``/prometheus-targets.json``: where workers serve metrics, for Prometheus's discovery."""

    def get(self) -> None:
        """Answer with a list of one group, as Prometheus wants it."""
        found = [
            f"{worker.host}:{worker.services['dashboard']}"
            for worker in self.server.workers.values()
            if "dashboard" in worker.services
        ]
        self.set_header("Content-Type", "application/json")
        self.write(json.dumps([{"targets": sorted(found), "labels": {}}]))


def _under_way(worker: Any) -> list[tuple[object, float]]:
    """
    Tasks that a worker computes, with their seconds so far.

    Workers say it at every heartbeat; until then, it is the first of those that they were given.
    """
    found = [(t.key, float(s)) for t, s in worker.executing.items() if t in worker.processing]
    free = worker.nthreads - len(found)
    if free > 0:
        known = {key for key, _ in found}
        fresh = [t for t in worker.processing if t.key not in known]
        found += [(t.key, 0.0) for t in nsmallest(free, fresh, key=lambda t: t.priority)]
    return found


def _label(worker: Any) -> str:
    host = str(worker.host)
    # As in receipts, which do not name addresses.
    return f"{socket.gethostname() if host in LOOPBACK else host}:{worker.pid}"


def _optional(module: str, needs: str) -> Any:
    """Import a module, or None if the library that it needs is not installed."""
    try:
        import_module(needs)
    except ModuleNotFoundError:
        return None
    return import_module(module)
