"""The Dask executor leaves nothing behind in the process that uses it."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import nullcontext

import dask
import pytest
from distributed.utils import LoopRunner, sync

from distdesc.engine.executors.dask import DaskExecutor
from distdesc.engine.executors.settings import SETTINGS
from distdesc.engine.executors.starting import (
    ctrl_c_for_the_client_alone,
    no_word_about_calls_not_begun,
)
from distdesc.errors import CampaignError
from distdesc.options import Execution


@pytest.fixture(autouse=True)
def heed_ctrl_c():
    """As in a terminal: what is started in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_settings_are_those_of_before_when_there_is_no_such_scheduler():
    before = {name: dask.config.get(name) for name in SETTINGS}
    assert before != SETTINGS
    with (
        pytest.raises(CampaignError, match="got nowhere://"),
        DaskExecutor(Execution(scheduler="nowhere://127.0.0.1:9"), 1),
    ):
        pass
    assert {name: dask.config.get(name) for name in SETTINGS} == before


@pytest.mark.parametrize("silenced", [True, False])
def test_ctrl_c_before_a_call_to_the_scheduler_has_begun_stops_without_a_traceback(
    caplog, silenced
):
    runner = LoopRunner(asynchronous=False)
    runner.start()
    busy, interrupted = threading.Event(), threading.Event()

    def hold() -> None:
        busy.set()
        interrupted.wait(10)

    async def nothing() -> None:
        """What the scheduler would be asked."""

    def interrupt() -> None:
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    try:
        runner.loop.add_callback(hold)
        assert busy.wait(10)
        thread = threading.Thread(target=interrupt)
        thread.start()
        logger = logging.getLogger("tornado.application")
        silence = no_word_about_calls_not_begun() if silenced else nullcontext()
        with caplog.at_level(logging.ERROR, logger.name), silence:
            with pytest.raises(KeyboardInterrupt):
                sync(runner.loop, nothing)
            thread.join()
            interrupted.set()
            sync(runner.loop, nothing)
    finally:
        runner.stop()
    assert bool(caplog.records) is not silenced
    assert not logger.filters


@pytest.mark.parametrize("blocked", [True, False])
def test_ctrl_c_while_workers_start_is_heard_by_the_client_alone_and_when_they_have_started(
    blocked,
):
    child = "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('goes on')"
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    said, begun = "", False

    def start() -> None:
        nonlocal said, begun
        with ctrl_c_for_the_client_alone():
            said = subprocess.check_output([sys.executable, "-c", child], text=True)
            if not blocked:  # as in a thread that was there before
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            # To this thread: the system may give it to another, which may be late.
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
            begun = True

    with pytest.raises(KeyboardInterrupt):
        start()
    assert (said, begun) == ("goes on\n", True)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_sigterm_while_workers_start_is_taken_when_they_have_started():
    heard: list[bool] = []
    begun = False
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append(begun))
    try:
        with ctrl_c_for_the_client_alone():
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
            begun = True
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [True]
