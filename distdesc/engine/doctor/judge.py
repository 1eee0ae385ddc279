"""From the facts of processes to findings; pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from distdesc.engine.doctor.finding import FAULT, OK, WARNING, Finding, some
from distdesc.engine.doctor.process import CLUSTER_PACKAGES

Facts = Mapping[str, Any]

MUCH_OFF, FAR_OFF = 5.0, 120.0
"""Seconds between clocks: worth a word; locks and certificates are misjudged."""

LITTLE, TOO_LITTLE = 2 * 2**30, 2**28
"""Free bytes of a folder for temporary files."""

FEW_FILES = 1024
"""Open files that a scheduler of some hundred workers needs."""


def judge_versions(here: Facts, there: Mapping[str, Facts]) -> list[Finding]:
    """
    Same versions everywhere, of what decides stored bytes and of what carries tasks.

    Parameters
    ----------
    here : mapping
        Facts of the client.
    there : mapping of str to mapping
        Of scheduler and workers, by name.
    """
    found = []
    for package, mine in here["versions"].items():
        other = defaultdict(list)
        for name, facts in there.items():
            if facts["versions"].get(package, "") != mine:
                other[facts["versions"].get(package, "") or "none"].append(name)
        for theirs, names in other.items():
            state = WARNING if package in CLUSTER_PACKAGES else FAULT
            found.append(
                Finding(
                    "versions", state, f"{package} {mine} here, {theirs} on {some(names)}",
                    f'install the same there: pip install "{package}=={mine}"'
                    if package != "python"
                    else f"use Python {mine} there too",
                )
            )  # fmt: skip
    said = f"the same {len(here['versions'])} packages in {len(there) + 1} processes"
    return found or [Finding("versions", OK, said)]


def judge_clocks(offsets: Mapping[str, tuple[float, float]]) -> list[Finding]:
    """
    Clocks that agree, as far as can be told.

    Parameters
    ----------
    offsets : mapping of str to tuple of float
        Seconds that a clock is ahead of the client's, and how uncertain that is.
    """
    found = []
    for name, (offset, unsure) in offsets.items():
        sure = max(0.0, abs(offset) - unsure)
        if sure > MUCH_OFF:
            found.append(
                Finding(
                    "clocks", FAULT if sure > FAR_OFF else WARNING,
                    f"the clock of {name} is {offset:+.1f} s from the client's",
                    "keep the clocks by NTP (chrony); by them clients are taken for dead, and "
                    "certificates for valid",
                )
            )  # fmt: skip
    most = max((abs(o) for o, _ in offsets.values()), default=0.0)
    return found or [Finding("clocks", OK, f"at most {most:.2f} s apart")]


def judge_threads(workers: Mapping[str, Facts]) -> list[Finding]:
    """
    One thread a worker, and none beside it by numerical libraries.

    Parameters
    ----------
    workers : mapping of str to mapping
        Facts, with ``threads`` of Dask, by name.
    """
    several = [name for name, w in workers.items() if w["threads"] != 1]
    found = []
    if several:
        found.append(
            Finding(
                "threads", FAULT, f"{some(several)} compute with several threads",
                "start them with distdesc worker, or dask worker --nthreads 1: workers of several "
                "threads cannot be ended when one of their shards hangs",
            )
        )  # fmt: skip
    greedy = {name: pools for name, w in workers.items() if (pools := _greedy(w))}
    if greedy:
        name, pools = next(iter(greedy.items()))
        found.append(
            Finding(
                "threads", FAULT,
                f"libraries start threads of their own on {some(list(greedy))}: {name} has {pools}",
                "start them with distdesc worker, or set OMP_NUM_THREADS, OPENBLAS_NUM_THREADS, "
                "MKL_NUM_THREADS and NUMBA_NUM_THREADS to 1 where they start",
            )
        )  # fmt: skip
    by_host = Counter(w["host"] for w in workers.values())
    cores = {w["host"]: w["cores"] for w in workers.values()}
    for host, n in by_host.items():
        if n > cores[host]:
            found.append(
                Finding(
                    "threads", WARNING, f"{n} workers on the {cores[host]} cores of {host}",
                    f"start {cores[host]} of them: distdesc worker --workers {cores[host]}",
                )
            )  # fmt: skip
    return found or [Finding("threads", OK, "one a worker, and none beside it")]


def _greedy(worker: Facts) -> str:
    """Where a worker would use several threads."""
    pools = [f"{pool} {n}" for pool, n in worker["pools"].items() if n > 1]
    numba = worker["variables"]["NUMBA_NUM_THREADS"]
    if numba != "1":
        pools.append(f"NUMBA_NUM_THREADS {numba or 'unset'}")
    return some(pools)


def judge_memory(workers: Mapping[str, Facts]) -> list[Finding]:
    """
    A limit for each worker, and machines that have what their workers may use.

    Parameters
    ----------
    workers : mapping of str to mapping
        Facts, with ``limit`` in bytes or 0, by name.
    """
    found = []
    boundless = [name for name, w in workers.items() if not w["limit"]]
    if boundless:
        found.append(
            Finding(
                "memory", FAULT, f"{some(boundless)} have no memory limit",
                "give distdesc worker --memory GIB: shards are cut to fit it, and a structure that "
                "needs more is found, instead of the machine's being brought down",
            )
        )  # fmt: skip
    promised: Counter[str] = Counter()
    for w in workers.values():
        promised[w["host"]] += w["limit"]
    has = {w["host"]: w["memory"] for w in workers.values()}
    for host, limit in promised.items():
        if limit > 1.02 * has[host]:
            found.append(
                Finding(
                    "memory", FAULT,
                    f"the workers of {host} may use {limit / 2**30:.1f} GiB together, and it has "
                    f"{has[host] / 2**30:.1f}",
                    "start fewer, or with less: distdesc worker --workers N --memory GIB",
                )
            )  # fmt: skip
    least = min((w["limit"] for w in workers.values()), default=0)
    return found or [Finding("memory", OK, f"at least {least / 2**30:.2f} GiB a worker")]


def judge_folders(processes: Mapping[str, Facts]) -> list[Finding]:
    """
    Room for temporary files, and a place for compiled kernels.

    Parameters
    ----------
    processes : mapping of str to mapping
        Facts, by name.
    """
    found, seen = [], set()
    for name, facts in processes.items():
        if (facts["host"], facts["folder"]) in seen:
            continue
        seen.add((facts["host"], facts["folder"]))
        if facts["free"] < LITTLE:
            said = f"{facts['folder']} of {name} has {max(0, facts['free']) / 2**30:.2f} GiB free"
            found.append(
                Finding(
                    "folders", FAULT if facts["free"] < TOO_LITTLE else WARNING, said,
                    "choose another with distdesc worker --local-directory DIR, or TMPDIR",
                )
            )  # fmt: skip
    deaf = [
        name
        for name, facts in processes.items()
        if not (facts["cache"]["writable"] or facts["cache"]["fallback"])
    ]
    if deaf:
        where = processes[deaf[0]]["cache"]["folder"]
        found.append(
            Finding(
                "folders", WARNING, f"compiled kernels cannot be kept in {where} by {some(deaf)}",
                "set NUMBA_CACHE_DIR to one that can be written, or each process compiles anew",
            )
        )  # fmt: skip
    return found or [Finding("folders", OK, "room for temporary files and compiled kernels")]


def judge_settings(wanted: Mapping[str, Any], settings: Mapping[str, Facts]) -> list[Finding]:
    """
    Settings of Dask that campaigns need, where they are read.

    Parameters
    ----------
    wanted : mapping of str to object
        Values by key.
    settings : mapping of str to mapping
        Values by key, of scheduler and workers by name.
    """
    other = defaultdict(list)
    for name, values in settings.items():
        for key, value in values.items():
            if value != wanted[key]:
                other[key, repr(value)].append(name)
    found = [
        Finding(
            "settings", WARNING,
            f"{key} is {value} on {some(names)}, and should be {wanted[key]!r}",
            "start them with distdesc scheduler and distdesc worker, or set "
            f"{_variable(key)}={wanted[key]} where they start",
        )
        for (key, value), names in other.items()
    ]  # fmt: skip
    return found or [Finding("settings", OK, "Dask is set up as campaigns need it")]


def _variable(key: str) -> str:
    """Environment variable of a setting of Dask."""
    return f"DASK_{key.upper().replace('.', '__').replace('-', '_')}"


def judge_store(path: str, wrong: Mapping[str, str]) -> list[Finding]:
    """
    A store's place that all see and can write.

    Parameters
    ----------
    path : str
        The place.
    wrong : mapping of str to str
        What is wrong, by who says so; empty where nothing is.
    """
    by_fault: dict[str, list[str]] = defaultdict(list)
    for name, fault in wrong.items():
        if fault:
            by_fault[fault].append(name)
    found = [
        Finding(
            "store", FAULT, f"{path}: {some(names)} {fault}",
            "mount the same file system at the same path everywhere, writable by the user that "
            "runs the workers; or use an object store (s3://)",
        )
        for fault, names in by_fault.items()
    ]  # fmt: skip
    said = f"{path}: written and read by {len(wrong)} process{'es' * (len(wrong) > 1)}"
    return found or [Finding("store", OK, said)]


def judge_scheduler(facts: Facts, others: Sequence[str]) -> list[Finding]:
    """
    A scheduler that can have all connections open.

    Parameters
    ----------
    facts : mapping
        Of the scheduler.
    others : sequence of str
        Names of its workers.
    """
    if facts["files"] >= max(FEW_FILES, 4 * len(others)):
        return [Finding("scheduler", OK, f"{len(others)} workers, {facts['files']} open files")]
    return [
        Finding(
            "scheduler", WARNING, f"the scheduler may open {facts['files']} files",
            "raise it where it starts: ulimit -n 65536",
        )
    ]  # fmt: skip
