"""deploy/slurm on a real Slurm of three nodes: nodes are killed, jobs cancelled and requeued."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import slurm as slurms

SCRIPTS = Path(__file__).parent.parent.parent / "deploy" / "slurm"
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture(scope="module")
def installed():
    reason = slurms.why_not()
    if reason:
        pytest.skip(reason)


@pytest.fixture
def slurm(installed, work, tmp_path):
    """Three nodes, whose jobs find the package and the slow descriptor."""
    with slurms.Slurm(3) as made:
        passed = {k: work.environment[k] for k in work.environment if not k.startswith("SLURM")}
        made.environment = passed | {
            "SLURM_CONF": made.environment["SLURM_CONF"],
            "RUN": str(tmp_path / "logs"), "SCRATCH": str(tmp_path), "GRACE": "20",
        }  # fmt: skip
        yield made


def submit(slurm, work, script, *options, arguments=()):
    """Submit a script of deploy/slurm; its number, and the file of what it says."""
    log = work.store.with_suffix(".log")
    number = slurm.submit(
        SCRIPTS / script, f"--output={log}", "--chdir", str(log.parent), *options,
        arguments=arguments or (str(work.job),),
    )  # fmt: skip
    return number, log


def test_an_allocation_goes_on_without_a_node_that_is_lost(slurm, work):
    number, log = submit(slurm, work, "campaign.sbatch", "--nodes=3", "--ntasks=6")
    work.wait_for(5)
    slurm.kill_node("n3")
    assert slurm.wait_for(number, *ENDED, seconds=150) == "COMPLETED", log.read_text()
    assert slurm.job(number)["Restarts"] == "0"
    work.check()


def test_an_allocation_that_is_told_to_end_is_requeued_and_goes_on(slurm, work, tmp_path):
    number, log = submit(slurm, work, "campaign.sbatch", "--nodes=2", "--ntasks=4")
    work.wait_for(5)
    slurm.tell("scancel", "--batch", "--signal=TERM", str(number))
    slurm.wait_until(lambda: slurm.job(number)["Restarts"] == "1", 90, "the job to be requeued")
    done = work.done
    assert 5 <= done < 41
    assert slurm.wait_for(number, *ENDED, seconds=150) == "COMPLETED", log.read_text()
    assert "time is up, or the job is preempted: requeued" in log.read_text()
    assert f"{done} of them done before" in log.read_text()
    work.check()


def test_an_allocation_whose_first_node_is_lost_is_requeued_and_goes_on(slurm, work):
    number, log = submit(slurm, work, "campaign.sbatch", "--nodes=2", "--ntasks=4")
    work.wait_for(5)
    first = slurm.job(number)["BatchHost"]
    slurm.kill_node(first)
    slurm.wait_until(lambda: slurm.job(number)["Restarts"] == "1", 120, "the job to be requeued")
    assert slurm.wait_for(number, *ENDED, seconds=150) == "COMPLETED", log.read_text()
    work.check()


@pytest.mark.parametrize(("option", "code"), [("a.b.c=1", "2:0"), ("limits.min_distance=3", "6:0")])
def test_a_job_that_another_try_would_not_mend_fails_and_is_not_tried_again(
    slurm, work, option, code
):
    number, log = submit(
        slurm, work, "campaign.sbatch", "--ntasks=3", arguments=(str(work.job), "--set", option)
    )
    assert slurm.wait_for(number, *ENDED, seconds=60) == "FAILED"
    assert slurm.job(number)["ExitCode"] == code, log.read_text()
    assert slurm.job(number)["Restarts"] == "0"


@pytest.mark.parametrize(
    ("tasks", "interface", "code", "said"),
    [(2, "", "2:0", "give sbatch --ntasks=3"), (3, "none0", "6:0", "no scheduler can be started")],
)
def test_an_allocation_that_cannot_begin_says_so_and_ends(
    slurm, work, tasks, interface, code, said
):
    slurm.environment["INTERFACE"] = interface
    number, log = submit(slurm, work, "campaign.sbatch", f"--ntasks={tasks}")
    assert slurm.wait_for(number, *ENDED, seconds=90) == "FAILED"
    assert (slurm.job(number)["ExitCode"], slurm.job(number)["Restarts"]) == (code, "0")
    assert said in log.read_text()


def test_an_array_computes_shares_of_which_one_is_told_to_end(slurm, work):
    number, log = submit(slurm, work, "array.sbatch", "--array=1-4")
    work.wait_for(6)
    slurm.tell("scancel", "--batch", "--signal=TERM", f"{number}_2")
    slurm.wait_until(lambda: work.done == 41, 200, "all shards")
    slurm.wait_until(lambda: not slurm.running(), 60, "the jobs to end")
    assert "share" in log.read_text()
    work.check()


def test_workers_come_and_go(slurm, work, tmp_path):
    found = tmp_path / "scheduler.json"
    distdesc = [sys.executable, "-m", "distdesc"]
    scheduler = subprocess.Popen(
        [*distdesc, "scheduler", "--port", "0", "--dashboard", "none",
         "--scheduler-file", str(found)],
        env=work.environment,
    )  # fmt: skip
    client = None
    try:
        first, log = submit(
            slurm, work, "workers.sbatch", "--array=1-2", arguments=(str(found), "--memory", "1")
        )
        while not (found.exists() and "address" in json.loads(found.read_text() or "{}")):
            time.sleep(0.1)
        client = subprocess.Popen(
            [*distdesc, "run", str(work.job), "--scheduler", str(found)], env=work.environment
        )
        work.wait_for(4)
        slurm.tell("scancel", f"{first}_1")
        submit(slurm, work, "workers.sbatch", "--cpus-per-task=2", arguments=(str(found),))
        assert client.wait(timeout=150) == 0, log.read_text()
    finally:
        for process in (client, scheduler):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
    work.check()


def test_an_elastic_cluster_grows_with_the_work(slurm, work, tmp_path):
    pytest.importorskip("dask_jobqueue")
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "elastic.py"), str(work.job), "--maximum", "3",
         "--cores", "1", "--memory", "1GiB", "--minutes", "10", "--interface", "lo",
         "--run", str(tmp_path / "elastic"), "--scratch", str(tmp_path)],
        env=slurm.environment, cwd=tmp_path, capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    work.check()
    slurm.wait_until(lambda: not slurm.running(), 30, "its jobs to end")
