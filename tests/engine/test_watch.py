"""What a process of its own posts, and how it ends, is told for what it is; nothing waits."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import pytest

from distdesc.engine.child_process import PATIENCE, Bounds, Death, _Watch
from distdesc.engine.tries import SHARE, Tries
from distdesc.errors import LastingError, RunError, SourceError


@pytest.fixture
def watched():
    """Watches of processes that run a line of Python, and the end of the pipe to post to."""
    started, pipes = [], []

    def begin(script: str, **bounds: float) -> tuple[_Watch, int]:
        posted, post = os.pipe()
        command = [sys.executable, "-S", "-c", f"import os, signal; {script}"]
        started.append(subprocess.Popen(command, pass_fds=[post], env={"POST": str(post)}))
        pipes.extend((posted, post))
        return _Watch(started[-1], posted, Bounds(**bounds), 0.0), post

    yield begin
    for process in started:
        process.kill()
        process.wait()
    for pipe in pipes:
        os.close(pipe)


def posts(*lines: dict[str, object]) -> str:
    """Script that posts lines."""
    data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    return f"os.write(int(os.environ['POST']), {data!r})"


def end(watched, script: str, **bounds: float) -> Death | None:
    return watched(script, **bounds)[0].until_end()


READY = {"ready": True}


def test_a_death_is_of_the_structure_that_was_posted_last(watched):
    script = posts(READY, {"at": 7}, {"at": 9})
    assert end(watched, f"{script}; os.abort()") == Death(
        9, "killed its process with SIGABRT, an abort"
    )


def test_a_death_before_the_first_structure_is_of_none(watched):
    assert end(watched, f"{posts(READY)}; os._exit(3)") == Death(
        None, "ended its process with exit code 3"
    )


def test_a_death_after_the_last_structure_is_not_of_it(watched):
    script = posts(READY, {"at": 9}, {"probed": True})
    found = end(watched, f"{script}; os.kill(os.getpid(), signal.SIGSEGV)")
    assert found == Death(None, "killed its process with SIGSEGV, a segmentation fault", True)


def test_a_process_that_finishes_dies_of_nothing(watched):
    assert end(watched, posts(READY, {"at": 9}, {"done": True})) is None


def test_lack_of_memory_that_is_posted_is_a_death(watched):
    script = posts(READY, {"at": 4}, {"error": ["MemoryError", "no", None]})
    assert end(watched, script) == Death(4, "needed more memory than there was (MemoryError)")


@pytest.mark.parametrize(
    ("posted", "kind", "message"),
    [
        (["SourceError", "it has changed", None], SourceError, "it has changed"),
        (["Unheard", "what", None], RunError, "what"),
        (["LastingError", "other versions", None], LastingError, "other versions"),
        (["PathError", "of no class of ours", None], RunError, "of no class of ours"),
        (["OSError", "disk full", errno.ENOSPC], OSError, "disk full"),
    ],
)
def test_errors_that_are_posted_are_raised(watched, posted, kind, message):
    with pytest.raises(kind, match=message) as raised:
        end(watched, posts(READY, {"error": posted}))
    assert getattr(raised.value, "errno", None) == posted[2]


def test_memory_is_watched(watched):
    found = end(watched, f"{posts({'at': 2})}; signal.pause()", memory=1)
    assert found is not None
    assert found.reason == "needed more than 0.00 GiB of memory"


def test_time_is_counted_from_the_last_post_and_the_shard_may_take_what_its_structures_took(
    watched,
):
    watch, post = watched("signal.pause()", seconds=5.0)
    os.write(post, b'{"ready": true}\n')
    assert watch._read()
    watch._waited = 4.0
    assert watch._excess() == ""
    watch._waited = 6.0
    assert watch._excess() == "took longer than 5 s"
    # The next structure has its own time.
    os.write(post, b'{"at": 3}\n{"at"')
    assert watch._read()
    assert watch._excess() == ""
    assert watch.at == 3
    # A post comes in two halves.
    os.write(post, b': 4}\n{"probed": true}\n')
    watch.spent = 100.0
    assert watch._read()
    watch._waited = 0.99 * PATIENCE * 100.0
    assert watch._excess() == ""
    watch._waited = 1.01 * PATIENCE * watch.spent
    assert watch._excess().startswith("took longer than 30")


def test_there_is_no_limit_where_none_is_set(watched):
    watch, post = watched("signal.pause()")
    for line in (b'{"ready": true}\n', b'{"at": 1}\n', b'{"probed": true}\n'):
        os.write(post, line)
        assert watch._read()
        watch._waited = 1e9
        assert watch._excess() == ""


@pytest.mark.parametrize(
    ("isolation", "first", "then"),
    [
        ("after_crash", "run_task", "run_isolated"),
        ("always", "run_isolated", "run_isolated"),
        ("never", "run_task", None),
    ],
)
def test_isolation_says_how_a_shard_is_tried_first_and_after_its_worker_died(
    make, isolation, first, then
):
    tries = Tries(make(execution__isolation=isolation), "0" * 12, 2**30)
    assert tries.bounds.memory == int(SHARE * 2**30)
    names = [None if t is None else t.func.__name__ for t in tries.of_shards()]
    assert names == [first, then]
    parts = {"run_task": "sketch_part"}
    names = [None if t is None else t.func.__name__ for t in tries.of_parts(0, "")]
    assert names == [parts.get(first, first), then]
