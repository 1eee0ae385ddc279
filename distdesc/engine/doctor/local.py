"""Examines the machine that the command is given on."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from distdesc.engine.doctor.finding import FAULT, OK, WARNING, Finding
from distdesc.engine.doctor.judge import judge_folders, judge_store
from distdesc.engine.doctor.process import process_facts
from distdesc.engine.doctor.shared import begin_trial, end_trial, read_others, write_own

FOLDERS = ("DISTDESC_DATA", "DISTDESC_RUNS")
"""Environment variables that job files name folders by."""

SAME = 1e-9
"""Fingerprints of a turned molecule differ by no more than this."""


def examine_machine(store: str) -> list[Finding]:
    """
    Examine this machine: versions, folders, a small computation, and a store's place.

    Parameters
    ----------
    store : str
        Place of a store, to try; empty for none.
    """
    facts = process_facts()
    memory, cores = facts["memory"] / 2**30, facts["cores"]
    packages = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    found = [
        Finding("versions", OK, packages),
        Finding("machine", OK, f"{cores} cores, {memory:.1f} GiB of memory"),
        *judge_folders({facts["host"]: facts}),
        *_named_folders(),
        _computation(),
    ]
    return [*found, *_store(store)] if store else found


def _named_folders() -> list[Finding]:
    found = []
    for name in FOLDERS:
        folder = os.environ.get(name)
        if folder and "://" not in folder and not Path(folder).is_dir():
            found.append(
                Finding(
                    "folders", WARNING, f"{name} is {folder}, which is not there",
                    "make the folder, or correct the variable",
                )
            )  # fmt: skip
    return found


def _computation() -> Finding:
    """Compile a kernel, or load it, and see that it computes what it should."""
    from distdesc.descriptors.moment_invariants import MomentInvariants
    from distdesc.structures.environment import Environments

    around = np.array([[0.96, 0.0, 0.0], [-0.24, 0.93, 0.0], [0.1, 0.2, 1.5]])
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    both = Environments(
        offsets=np.array([0, 3, 6]),
        vectors=np.concatenate([around, around @ turn.T]),
        numbers=np.array([1, 1, 8, 1, 1, 8], dtype=np.int32),
        neighbours=np.array([1, 2, 3, 5, 6, 7]),
        centres=np.array([0, 4]),
        centre_numbers=np.array([8, 8], dtype=np.int32),
    )
    descriptor = MomentInvariants(order=2, cutoff=4.0, elements=("H", "O"))
    first, second = descriptor.compute(both)
    change = float(abs(first - second).max() / abs(first).max())
    if change < SAME:
        return Finding(
            "computation", OK, f"fingerprints of a turned molecule agree to {change:.0e}"
        )
    return Finding(
        "computation", FAULT, f"fingerprints of a turned molecule differ by {change:.0e}",
        "install distdesc and numba anew; if that does not help, report it with distdesc doctor "
        "--json",
    )  # fmt: skip


def _store(store: str) -> list[Finding]:
    try:
        trial = begin_trial(store)
    except OSError as error:
        said = f"{store}: cannot be written: {error.strerror or error}"
        return [Finding("store", FAULT, said, "choose a place that can be written")]
    try:
        wrong = write_own(trial.folder, "here") or read_others(trial.folder, ["here"])
    finally:
        end_trial(store, trial)
    return judge_store(store, {"this machine": wrong})
