"""Whom children die of: exactly those that kill each time are set aside, and a shard ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distdesc.engine import isolation
from distdesc.engine.child_process import Bounds, Death, Work
from distdesc.engine.executors.executor import CrashError
from distdesc.engine.plan import Task

STRUCTURES = range(100, 112)
WORK = Work(Path("nowhere"), "", {}, Bounds(), Task("some", 0, 0, 12, 100, 112, 0))


class Children:
    """Children that die of some structures: always, once, or of none when all are done."""

    def __init__(self, always: set[int], once: set[int], whole: int) -> None:
        self.always, self.once, self.whole = always, set(once), whole
        self.left_out: dict[int, str] = {}
        self.started = 0

    def __call__(self, work, crashed, probe=None, spent=0.0) -> Death | None:
        self.started += 1
        self.left_out = dict(crashed)
        assert spent >= 0
        for k in range(*probe):
            if k in crashed:
                continue
            if k in self.always or k in self.once:
                self.once.discard(k)
                return Death(k, f"died of {k}")
        if self.always - crashed.keys():
            return Death(None, "died of one that it was not to compute", probed=True)
        if self.whole:
            self.whole -= 1
            return Death(None, "died of nothing", probed=True)
        return None


def set_aside(children: Children) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(isolation, "run_child", children)
        isolation._set_aside(WORK)


@given(
    st.sets(st.sampled_from(STRUCTURES)),
    st.sets(st.sampled_from(STRUCTURES)),
    st.integers(0, isolation.CHANCES - 1),
)
def test_exactly_those_that_kill_each_time_are_set_aside(always, once, whole):
    children = Children(always, once - always, whole)
    set_aside(children)
    assert children.left_out == {k: f"computing it died of {k}" for k in always}
    # Each that kills always takes two children, bad luck one, and one finishes.
    assert children.started == 2 * len(always) + len(once - always) + whole + 1


def test_a_shard_that_dies_of_no_structure_is_given_up():
    children = Children({103}, set(), isolation.CHANCES)
    with pytest.raises(CrashError, match=r"died of nothing, although 1 structures were set aside"):
        set_aside(children)
