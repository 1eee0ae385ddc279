"""The doctor finds what is wrong with a deployment, and nothing where nothing is."""

from __future__ import annotations

import json
import sys

import dask
import pytest
from distributed import LocalCluster

from distdesc.cli import cli
from distdesc.cli import doctor as command
from distdesc.engine.doctor import judge, shared
from distdesc.engine.doctor.finding import FAULT, OK, WARNING, Finding, some
from distdesc.engine.doctor.local import examine_machine
from distdesc.engine.doctor.process import process_facts
from distdesc.engine.doctor.shared import begin_trial, end_trial, read_others, write_own
from distdesc.engine.executors.certificates import days_left, make_certificates
from distdesc.engine.executors.examination import examine_cluster
from distdesc.engine.executors.security import security_of
from distdesc.engine.executors.settings import SETTINGS

# Of Dask and its dependencies at shutdown; ours are errors everywhere else.
pytestmark = pytest.mark.filterwarnings("default")


def by_check(found: list[Finding]) -> dict[str, str]:
    """Worst state of each check."""
    order = [OK, WARNING, FAULT]
    states: dict[str, str] = {}
    for f in found:
        states[f.check] = max(states.get(f.check, OK), f.state, key=order.index)
    return states


def words(found: list[Finding]) -> str:
    return "\n".join(f"{f.state} {f.check}: {f.said} -> {f.advice}" for f in found)


def test_a_cluster_as_it_should_be_is_healthy(tmp_path):
    certificates = tmp_path / "certificates"
    make_certificates(certificates, days=30)
    with (
        dask.config.set(SETTINGS),
        LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", memory_limit=2**30,
            dashboard_address="127.0.0.1:0", security=security_of(str(certificates)),
        ) as cluster,
    ):  # fmt: skip
        store = tmp_path / "new" / "run.zarr"
        found = examine_cluster(cluster.scheduler_address, str(certificates), str(store))
    assert set(by_check(found).values()) == {OK}, words(found)
    assert {"versions", "clocks", "threads", "memory", "folders", "settings", "store", "encryption",
            "dashboard", "scheduler"} == set(by_check(found))  # fmt: skip
    assert "TLS, and nothing else" in words(found)
    assert not (tmp_path / "new" / "run.zarr").exists()


def test_a_cluster_that_was_set_up_wrongly_is_told_what_to_do(tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        monkeypatch.setenv(name, "3")
    of_dask = {"distributed.scheduler.allowed-failures": 3, "distributed.worker.memory.spill": 0.7}
    with (
        dask.config.set(of_dask),
        LocalCluster(
            n_workers=1, threads_per_worker=2, host="127.0.0.1", memory_limit=0,
            dashboard_address="127.0.0.1:0",
        ) as cluster,
    ):  # fmt: skip
        monkeypatch.chdir(tmp_path)
        # The same name, and another folder: its worker was started elsewhere.
        found = examine_cluster(cluster.scheduler_address, "", "/proc/self/cwd/runs")
        client_alone = sorted(f.name for f in tmp_path.iterdir())
    said = words(found)
    states = by_check(found)
    assert states.pop("scheduler") == states.pop("versions") == states.pop("clocks") == OK
    assert states["threads"] == states["memory"] == states["store"] == FAULT, said
    assert states["settings"] == WARNING
    for text in (
        "compute with several threads",
        "NUMBA_NUM_THREADS 3",
        "have no memory limit",
        "distributed.scheduler.allowed-failures is 3 on the scheduler, and should be 0",
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES=0",
        "distributed.worker.memory.spill is 0.7",
        "does not see what the client wrote",
        "mount the same file system",
        "none, and nothing that another machine can reach",
    ):
        assert text in said
    assert client_alone == ["elsewhere"], "nothing is left behind"


def test_a_scheduler_without_workers_is_sick():
    with LocalCluster(
        n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0", processes=True
    ) as cluster:
        found = examine_cluster(cluster.scheduler_address, "", "")
    assert [(f.check, f.state) for f in found] == [("workers", FAULT)]
    assert "distdesc worker" in found[0].advice


def test_this_machine_computes_and_the_command_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("DISTDESC_DATA", raising=False)
    monkeypatch.delenv("DISTDESC_RUNS", raising=False)
    cli.main(["doctor", "--json", "--store", str(tmp_path)], standalone_mode=False)
    data = json.loads(capsys.readouterr().out)
    assert data["healthy"] is True
    checks = [f["check"] for f in data["findings"]]
    assert checks == ["versions", "machine", "folders", "computation", "store"]
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("DISTDESC_RUNS", str(tmp_path / "nowhere"))
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as caught:
        cli.main(["doctor", "--store", str(tmp_path / "file" / "x")], standalone_mode=False)
    assert caught.value.code == command.WRONG
    out = " ".join(capsys.readouterr().out.split())
    assert "DISTDESC_RUNS is" in out
    assert "cannot be written" in out
    assert "→ choose a place that can be written" in out


def test_a_trial_leaves_nothing_behind_and_sees_who_won(tmp_path, monkeypatch):
    monkeypatch.setattr(shared, "PATIENCE", 0.1)
    trial = begin_trial(str(tmp_path / "new"))
    assert not write_own(trial.folder, "a")
    assert not read_others(trial.folder, ["a"])
    assert "could create" not in write_own(trial.folder, "b")
    end_trial(str(tmp_path / "new"), trial)
    assert not list(tmp_path.iterdir())
    assert "does not see what the client wrote" in write_own(str(tmp_path / "none"), "a")
    assert "does not see what was written by b" in read_others(str(tmp_path / "none"), ["b"])
    (tmp_path / "client").write_text("client")
    assert "cannot read there" in read_others(str(tmp_path / "client"), ["b"])


@pytest.fixture
def facts() -> dict:
    """Of a worker as it should be."""
    one = {**process_facts(), "threads": 1, "limit": 2**30, "memory": 2**34, "cores": 4,
           "files": 10**5, "free": 2**40}  # fmt: skip
    one["variables"] = dict.fromkeys(one["variables"], "1")
    one["pools"] = {"blas (libopenblas.so)": 1}
    return one


def changed(facts: dict, **changes) -> dict:
    return {**facts, **changes}


def test_versions_that_differ_are_faults_if_they_decide_stored_bytes(facts):
    other = changed(facts, versions={**facts["versions"], "numpy": "1.0"})
    found = judge.judge_versions(facts, {"a": facts, "b": other, "c": other})
    assert [f.state for f in found] == [FAULT]
    assert "1.0 on b, c" in found[0].said
    assert f"numpy=={facts['versions']['numpy']}" in found[0].advice
    other = changed(facts, versions={**facts["versions"], "tornado": ""})
    (found,) = judge.judge_versions(facts, {"b": other})
    assert (found.state, "none on b" in found.said) == (WARNING, True)
    other = changed(facts, versions={**facts["versions"], "python": "2.7"})
    assert "use Python" in judge.judge_versions(facts, {"b": other})[0].advice
    assert judge.judge_versions(facts, {"a": facts})[0].state == OK


@pytest.mark.parametrize(
    ("offset", "unsure", "state"),
    [(0.1, 0.0, OK), (-30.0, 0.1, WARNING), (30.0, 29.0, OK), (3600.0, 1.0, FAULT)],
)
def test_clocks_count_by_what_is_sure_of_them(offset, unsure, state):
    (found,) = judge.judge_clocks({"a": (offset, unsure)})
    assert found.state == state


def test_too_many_workers_of_a_machine_are_seen(facts):
    workers = {f"w{k}": facts for k in range(5)}
    (found,) = judge.judge_threads(workers)
    assert (found.state, "5 workers on the 4 cores" in found.said) == (WARNING, True)
    workers = {f"w{k}": changed(facts, limit=2**33) for k in range(3)}
    (found,) = judge.judge_memory(workers)
    assert found.state == FAULT
    assert "may use 24.0 GiB together, and it has 16.0" in found.said
    assert judge.judge_memory({"w": facts})[0].state == OK
    assert judge.judge_threads({"w": facts})[0].state == OK


@pytest.mark.parametrize(("free", "state"), [(2**40, OK), (2**30, WARNING), (2**20, FAULT)])
def test_folders_without_room_are_seen(facts, free, state):
    (found,) = judge.judge_folders({"w": changed(facts, free=free), "v": facts | {"free": free}})
    assert found.state == state


def test_kernels_that_cannot_be_kept_are_seen(facts):
    deaf = changed(facts, cache={"folder": "/usr/x", "writable": False, "fallback": False})
    (found,) = judge.judge_folders({"w": deaf})
    assert (found.state, "NUMBA_CACHE_DIR" in found.advice) == (WARNING, True)
    few = changed(facts, files=256)
    (found,) = judge.judge_scheduler(few, ["w"])
    assert (found.state, "ulimit" in found.advice) == (WARNING, True)
    many = [f"w{k}" for k in range(30_000)]
    assert judge.judge_scheduler(facts, many)[0].state == WARNING
    assert judge.judge_scheduler(facts, many[:9])[0].state == OK


def test_certificates_that_end_soon_are_known(tmp_path):
    make_certificates(tmp_path, days=3)
    assert {round(d) for d in days_left(tmp_path).values()} == {3}
    assert days_left(tmp_path / "none") == {}


def test_long_lists_are_cut():
    assert some(list("abcdef")) == "a, b, c, d and 2 more"
    assert examine_machine("")[0].state == OK
    assert sys.version.split()[0] == process_facts()["python"]
