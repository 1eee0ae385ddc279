"""What is known of a campaign: every shard counted once, in the right place."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from distributed.protocol import dumps, loads

from distdesc.monitor.cells import CELLS, STATES
from distdesc.monitor.facts import ShardTime
from distdesc.monitor.messages import (
    REASONS,
    apply,
    done_message,
    over_message,
    problem_message,
)


def running(shard, seconds=1.0, stage="fingerprint"):
    return ShardTime(stage, shard, seconds, 100, "here:7", False)


def test_shards_add_up_whatever_state_they_are_in(make_tally, make_receipt):
    tally = make_tally(20)
    for shard in range(5):
        tally.add(make_receipt(shard), 1000.0 + shard)
    tally.add(make_receipt(5, quarantined=((61, "atoms are too close"),)), 1005.0)
    tally.fail("fingerprint", 6, "OSError: full", 1006.0)
    shards = tally.facts(1010.0, [running(7), running(8)]).shards
    assert (shards.done, shards.quarantined, shards.failed) == (6, 1, 1)
    assert (shards.running, shards.waiting, shards.total) == (2, 11, 20)


def test_a_shard_that_is_told_of_twice_counts_once(make_tally, make_receipt):
    tally = make_tally()
    for _ in range(3):
        tally.add(make_receipt(4, quarantined=((41, "too close"),)), 1001.0)
    facts = tally.facts(1010.0)
    assert facts.shards.done == 1
    assert facts.rows_done == 100
    assert facts.quarantined_structures == len(facts.problems) == 1
    assert facts.rate_run.structures == pytest.approx(1.0)


def test_a_shard_that_failed_and_was_done_by_another_run_is_done(make_tally, make_receipt):
    tally = make_tally(2)
    tally.fail("fingerprint", 0, "OSError: full", 1001.0)
    tally.add(make_receipt(0), 1002.0)
    tally.fail("fingerprint", 0, "too late", 1003.0)
    shards = tally.facts(1004.0).shards
    assert (shards.done, shards.failed, shards.waiting) == (1, 0, 1)


def test_a_shard_that_is_done_is_not_running(make_tally, make_receipt):
    tally = make_tally()
    tally.add(make_receipt(3), 1001.0)
    facts = tally.facts(1002.0, [running(3), running(999), running(0, stage="unknown")])
    assert facts.shards.running == 0
    assert all(t.done for t in facts.slowest)


def test_a_failed_shard_that_is_tried_again_is_running(make_tally):
    tally = make_tally(3)
    tally.fail("fingerprint", 1, "OSError", 1001.0)
    shards = tally.facts(1002.0, [running(1)]).shards
    assert (shards.running, shards.failed, shards.waiting) == (1, 0, 2)


def test_a_structure_on_the_edge_of_two_shards_is_set_aside_once(make_tally, make_receipt):
    tally = make_tally()
    for shard in (3, 4):
        tally.add(make_receipt(shard, quarantined=((40, "too close"),)), 1001.0)
    facts = tally.facts(1002.0)
    assert facts.quarantined_structures == 1
    assert facts.shards.quarantined == 2
    assert [p.structure for p in facts.problems] == [40]


def test_time_is_split_into_parts_that_add_up(make_tally, make_receipt):
    tally = make_tally()
    tally.add(make_receipt(0, seconds=8.0), 1001.0)
    seconds = tally.facts(1002.0).stages[0].seconds
    assert seconds == {"read": 2.0, "neighbours": 0.0, "kernel": 4.0, "write": 1.0, "other": 2.0}
    assert tally.facts(1002.0).seconds == seconds


def test_the_slowest_shards_are_those_that_took_longest_without_starting_up(
    make_tally, make_receipt
):
    tally = make_tally(40)
    for shard in range(30):
        tally.add(make_receipt(shard, seconds=float(shard % 17)), 1001.0)
    slowest = tally.facts(1002.0, [running(35, 99.0)]).slowest
    assert [t.seconds for t in slowest] == [99.0, 16.0, 15.0, 14.0, 13.0, 12.0, 12.0, 11.0]
    assert not slowest[0].done


def test_only_this_run_makes_the_rate_but_all_shards_are_done(make_tally, make_receipt):
    tally = make_tally()
    for shard in range(10):
        tally.add(make_receipt(shard))
    tally.begin(2000.0)
    tally.add(make_receipt(10), 2010.0)
    facts = tally.facts(2020.0)
    assert facts.shards.done == 11
    assert facts.rate_run.structures == pytest.approx(10 / 20)
    assert facts.rate_run.rows == pytest.approx(100 / 20)


def test_the_map_is_small_however_many_shards_there_are(make_tally, make_receipt):
    tally = make_tally(100_003, ("pooled", 7))
    tally.add(make_receipt(0), 1001.0)
    tally.fail("fingerprint", 100_002, "OSError", 1001.0)
    maps = tally.facts(1002.0, [running(60)]).maps
    assert sum(len(m.states) for m in maps) <= CELLS + len(maps)
    first = maps[0]
    assert first.per_cell * (len(first.states) - 1) < 100_003 <= first.per_cell * len(first.states)
    assert STATES[first.states[0]] == "waiting"
    assert 0 < first.done[0] < 1
    assert STATES[first.states[60 // first.per_cell]] == "running"
    assert STATES[first.states[-1]] == "failed"


def test_messages_say_all_that_is_shown(make_tally, make_receipt):
    receipt = make_receipt(2, quarantined=((k := 25, "too close"),), finished=1001.0)
    direct, told = make_tally(), pickle.loads(pickle.dumps(make_tally()))
    direct.add(receipt, 1001.0)
    direct.note("tried again", "fingerprint", 3, "OSError: x", 1002.0)
    direct.fail("fingerprint", 4, "OSError: y", 1003.0)
    for at, message in (
        (1001.0, done_message(receipt)),
        (1002.0, problem_message("tried again", "abc", "fingerprint", 3, "OSError: x")),
        (1003.0, problem_message("failed", "abc", "fingerprint", 4, "OSError: y")),
    ):
        # As Dask sends them: tuples become lists on the way.
        apply(told, loads(dumps(message)), at)
    assert told.facts(1010.0) == direct.facts(1010.0)
    assert k in told.quarantined


def test_messages_stay_small_but_count_every_structure(make_tally, make_receipt):
    many = tuple((k, "r" * 5000) for k in range(3000))
    message = done_message(make_receipt(0, quarantined=many))
    assert len(json.dumps(message)) < 100_000
    tally = make_tally()
    apply(tally, message, 1001.0)
    facts = tally.facts(1002.0)
    assert facts.quarantined_structures == 3000
    assert sum(bool(reason) for _, reason in message["receipt"]["quarantined"]) == REASONS


def test_a_run_that_ends_is_complete_or_stopped(make_tally, make_receipt):
    tally = make_tally(2)
    tally.add(make_receipt(0), 1001.0)
    apply(tally, over_message("abc"), 1002.0)
    assert tally.facts(1003.0).state == "stopped"
    assert tally.facts(1003.0).time_left is None
    assert tally.facts(1003.0).rate_run == tally.facts(5000.0).rate_run
    tally.begin(1004.0)
    assert tally.facts(1004.5).state == "running"
    tally.add(make_receipt(1), 1005.0)
    apply(tally, over_message("abc"), 1006.0)
    assert tally.facts(1007.0).state == "complete"


def test_facts_are_json(make_tally, make_receipt):
    tally = make_tally(5, ("pooled", 3))
    tally.add(make_receipt(0, quarantined=((1, "x"),)), 1001.0)
    facts = tally.facts(1003.0, [running(1)])
    assert json.loads(json.dumps(facts.to_dict()))["shards"]["done"] == 1


def test_shards_of_other_clients_are_not_waited_for(make_tally, make_receipt):
    tally = make_tally(8)
    tally.expect({"fingerprint": np.array([1, 3, 5, 7])})
    for k, shard in enumerate((1, 3, 5)):
        tally.add(make_receipt(shard), 1002.0 + 2 * k)
    facts = tally.facts(1006.0)
    assert facts.shards.waiting == 5
    assert facts.time_left is not None
    assert facts.time_left.seconds == pytest.approx(2.0, rel=0.01)
    tally.add(make_receipt(7), 1008.0)
    tally.end(1008.0)
    assert tally.facts(1009.0).state == "share done"
