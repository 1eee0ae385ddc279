"""Asks scheduler and workers of a cluster what the doctor wants to know."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import dask
from distributed import Client

from distdesc.engine.doctor import judge
from distdesc.engine.doctor.finding import FAULT, OK, WARNING, Finding, some
from distdesc.engine.doctor.process import process_facts
from distdesc.engine.doctor.shared import begin_trial, end_trial, read_others, write_own
from distdesc.engine.executors.certificates import days_left
from distdesc.engine.executors.connecting import connect
from distdesc.engine.executors.exposure import is_loopback
from distdesc.engine.executors.links import Links, links_of, tunnel
from distdesc.engine.executors.settings import SETTINGS

PAGE_SECONDS = 5.0
"""The dashboard may take to answer."""

FEW_DAYS = 14
"""Certificates that are valid for less are worth a word."""

COMPARED = tuple(k for k, v in SETTINGS.items() if not isinstance(v, dict | str))
"""Settings that scheduler and workers are asked for."""

OF_SCHEDULER = "distributed.scheduler."


def examine_cluster(scheduler: str, tls: str, store: str) -> list[Finding]:
    """
    Examine a cluster from inside: what client, scheduler and workers say, and see of each other.

    Parameters
    ----------
    scheduler : str
        Address or scheduler file.
    tls : str
        Folder of certificates; empty for none.
    store : str
        Place of a store, to try; empty for none.

    Raises
    ------
    CampaignError
        If the certificates cannot be used.
    RunError
        If no scheduler answers.
    """
    client = connect(scheduler, tls)
    try:
        workers = client.scheduler_info(n_workers=-1)["workers"]
        if not workers:
            return [
                Finding(
                    "workers", FAULT, "the scheduler has none",
                    "start some: distdesc worker SCHEDULER --workers N",
                )
            ]  # fmt: skip
        return [*_Examination(client, workers).findings(store), *_certificates(tls)]
    finally:
        client.close(timeout=5)


class _Examination:
    """What is asked of one cluster."""

    def __init__(self, client: Client, workers: dict[str, Any]) -> None:
        self.client, self.workers = client, workers
        self.names = {address: f"{w['host']}/{w['name']}" for address, w in workers.items()}

    def findings(self, store: str) -> list[Finding]:
        here = process_facts()
        boss = self._of_scheduler(process_facts)
        asked = self._of_workers(_worker_facts)
        facts = {name: w for name, w in asked.items() if isinstance(w, dict)}
        found = _without_distdesc({**asked, "the scheduler": boss})
        if isinstance(boss, dict):
            found += judge.judge_scheduler(boss, list(facts))
            there = {**facts, "the scheduler": boss}
            found += judge.judge_versions(here, there)
        found += judge.judge_clocks(self._clocks())
        found += judge.judge_threads(facts)
        found += judge.judge_memory(facts)
        found += judge.judge_folders(facts)
        found += self._settings()
        if store:
            found += self._store(store, list(facts))
        return [*found, self._encryption(), examine_dashboard(links_of(self.client))]

    def _of_workers(self, ask: Callable[..., Any], *given: Any, **options: Any) -> dict[str, Any]:
        """Answers by name of the worker; errors are answers too."""
        found = self.client.run(ask, *given, on_error="return", **options)
        return {self.names.get(address, address): answer for address, answer in found.items()}

    def _of_scheduler(self, ask: Callable[..., Any], *given: Any) -> Any:
        try:
            return self.client.run_on_scheduler(ask, *given)
        except (ImportError, AttributeError) as error:
            return error

    def _clocks(self) -> dict[str, tuple[float, float]]:
        found = {}
        for address, name in self.names.items():
            before = time.time()
            there = self.client.run(time.time, workers=[address], on_error="return").get(address)
            after = time.time()
            if isinstance(there, float):
                found[name] = (there - (before + after) / 2, (after - before) / 2)
        return found

    def _settings(self) -> list[Finding]:
        mine = tuple(k for k in COMPARED if k.startswith(OF_SCHEDULER))
        theirs = tuple(k for k in COMPARED if not k.startswith(OF_SCHEDULER))
        asked = {**self._of_workers(_settings, theirs), "the scheduler": self._of_scheduler(
            _settings, mine)}  # fmt: skip
        answers = {name: values for name, values in asked.items() if isinstance(values, dict)}
        return judge.judge_settings(SETTINGS, answers)

    def _store(self, store: str, names: list[str]) -> list[Finding]:
        try:
            trial = begin_trial(store)
        except OSError as error:
            said = f"{store}: the client cannot write there: {error.strerror or error}"
            return [Finding("store", FAULT, said, "choose a place that can be written")]
        own = {name: f"worker-{k}" for k, name in enumerate(names)}
        address = {name: address for address, name in self.names.items() if name in own}
        try:
            wrong = {
                name: self._asked(address[name], write_own, trial.folder, file)
                for name, file in own.items()
            }
            wrote = [name for name in names if not wrong[name]]
            for k, name in enumerate(wrote):
                # Each looks at what the next one wrote, and the client at all.
                others = [own[wrote[(k + 1) % len(wrote)]]]
                wrong[name] = self._asked(address[name], read_others, trial.folder, others)
            wrong["the client"] = read_others(trial.folder, [own[name] for name in wrote])
        finally:
            end_trial(store, trial)
        return judge.judge_store(store, wrong)

    def _asked(self, address: str, ask: Callable[..., str], *given: Any) -> str:
        answer = self.client.run(ask, *given, workers=[address], on_error="return").get(address)
        return answer if isinstance(answer, str) else f"cannot say: {answer!r}"

    def _encryption(self) -> Finding:
        address = self.client.scheduler.address
        if address.startswith("tls://"):
            return Finding("encryption", OK, f"TLS, and nothing else, at {address}")
        if all(is_loopback(a) for a in (address, *self.workers)):
            return Finding("encryption", OK, "none, and nothing that another machine can reach")
        return Finding(
            "encryption", WARNING, f"none: whoever reaches {address} can run code on the cluster",
            "distdesc certs DIR, then --tls DIR for scheduler, workers and run",
        )  # fmt: skip


def examine_dashboard(links: Links) -> Finding:
    """
    Whether the dashboard answers, and to whom.

    Parameters
    ----------
    links : Links
        Where it is.
    """
    link = links.dashboard
    if not link:
        return Finding("dashboard", OK, "none was asked for")
    if links.tunnel:
        return Finding("dashboard", OK, f"{link}, on its machine alone", f"here: {links.tunnel}")
    try:
        with urlopen(link.replace("/status", "/health"), timeout=PAGE_SECONDS) as page:
            page.read(2)
    except (URLError, OSError, ValueError) as error:
        url = urlsplit(link)
        host, port = url.hostname or "", url.port or 0
        return Finding(
            "dashboard", WARNING, f"{link} does not answer here: {error}",
            f"if a firewall is between: {tunnel(host, port, host)}, and open "
            f"http://127.0.0.1:{port}{url.path}",
        )  # fmt: skip
    if not is_loopback(link):
        return Finding(
            "dashboard", WARNING, f"{link} is open to whoever can reach it, without a password",
            "start the scheduler with --dashboard 127.0.0.1:8787, and reach it by ssh -L",
        )  # fmt: skip
    return Finding("dashboard", OK, link)


def _certificates(tls: str) -> list[Finding]:
    """Certificates that will soon be valid no more."""
    left = days_left(Path(tls)) if tls else {}
    return [
        Finding(
            "encryption", WARNING, f"{name} is valid for {days:.0f} days more",
            "make new ones in time with distdesc certs DIR, and start scheduler and workers anew",
        )
        for name, days in left.items()
        if days < FEW_DAYS
    ]  # fmt: skip


def _worker_facts(dask_worker: Any) -> dict[str, Any]:
    """Facts of a worker, with what Dask gives it."""
    limit = dask_worker.memory_manager.memory_limit
    return {
        **process_facts(dask_worker.local_directory),
        "threads": dask_worker.state.nthreads,
        "limit": int(limit or 0),
    }


def _settings(keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: dask.config.get(key) for key in keys}


def _without_distdesc(asked: dict[str, Any]) -> list[Finding]:
    """Who could not answer."""
    deaf = {name: answer for name, answer in asked.items() if not isinstance(answer, dict)}
    if not deaf:
        return []
    return [
        Finding(
            "versions", FAULT, f"{some(list(deaf))} cannot say: {next(iter(deaf.values()))!r}",
            "install the same distdesc there as here",
        )
    ]  # fmt: skip
