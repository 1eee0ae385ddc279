"""Rates, and when the rest will be done: right in made-up runs whose end is known."""

from __future__ import annotations

import heapq

import numpy as np
import pytest

from distdesc.monitor.forecast import Rest, ShardTimes, time_left
from distdesc.monitor.pace import BINS, FEW, LATELY, Pace
from distdesc.monitor.stage_tally import StageTally
from distdesc.monitor.tally import Tally
from distdesc.monitor.words import duration


def simulate(rng, n_shards, workers, spread, receipt):
    """Facts at a fifth, half and nine tenths of a run, with the time that it then had left."""
    costs = rng.integers(50, 150, n_shards)
    seconds = 0.1 * costs * rng.lognormal(0, spread, n_shards)
    free, ends = [1000.0] * workers, []
    for shard in range(n_shards):
        start = heapq.heappop(free)
        heapq.heappush(free, start + seconds[shard])
        ends.append((start + seconds[shard], shard))
    tally = Tally("abc", "x", "", 0, [StageTally("fingerprint", 100, 100 * n_shards, costs)])
    tally.begin(1000.0)
    last = max(ends)[0]
    for k, (at, shard) in enumerate(sorted(ends)):
        tally.add(receipt(shard, seconds=seconds[shard]), at)
        if k + 1 in (n_shards // 5, n_shards // 2, 9 * n_shards // 10):
            yield tally.facts(at).time_left, last - at


def test_the_end_lies_between_the_bounds_nearly_always(make_receipt):
    rng = np.random.default_rng(7)
    hits, widths = [], []
    for _ in range(30):
        for left, truth in simulate(rng, 200, 4, 0.3, make_receipt):
            hits.append(left.low <= truth <= left.high)
            widths.append((left.high - left.low) / max(truth, 1e-9))
    assert np.mean(hits) > 0.9
    assert np.median(widths) < 0.6


def test_nothing_is_said_before_enough_is_known():
    times = ShardTimes()
    times.add(10, 1.0)
    times.add(10, 1.0)
    assert time_left([Rest("a", 5, 50.0, times)], 0.0, 1.0, 1.0) is None
    times.add(10, 1.0)
    left = time_left([Rest("a", 5, 50.0, times), Rest("b", 9, 9.0, ShardTimes())], 0.0, 1.0, 1.0)
    assert left is not None
    assert left.seconds == pytest.approx(5.0)
    assert left.without == ("b",)


def test_what_is_under_way_is_not_left(make_tally):
    times = ShardTimes()
    for _ in range(4):
        times.add(1, 10.0)
    without = time_left([Rest("a", 2, 2.0, times)], 0.0, 1.0, 1.0)
    half = time_left([Rest("a", 2, 2.0, times)], 10.0, 1.0, 1.0)
    assert without is not None
    assert half is not None
    assert without.seconds - half.seconds == pytest.approx(10.0)


def test_shards_that_became_quicker_are_expected_to_stay_so(make_receipt):
    costs = np.full(600, 50)
    tally = Tally("abc", "x", "", 600, [StageTally("fingerprint", 1, 600, costs)])
    now = 0.0
    tally.begin(now)
    for shard in range(500):
        seconds = 8.0 if shard < 300 else 1.0
        now += seconds / 4
        tally.add(make_receipt(shard, seconds=seconds), now)
    left = tally.facts(now, [], []).time_left
    assert left is not None
    assert left.seconds == pytest.approx(25.0, rel=0.15)
    assert left.low < 25.0 < left.high


def test_costs_tell_small_shards_from_large():
    times = ShardTimes()
    for cost in (100, 200, 300):
        times.add(cost, cost / 10)
    seconds, error = times.rest(2, 10.0)
    assert seconds == pytest.approx(1.0)
    assert error == pytest.approx(0.0, abs=1e-5)


def test_the_rate_now_forgets_and_falls_when_nothing_comes():
    pace = Pace(0.0)
    for k in range(100):
        pace.add(float(k), 1.0, 10.0, 1.0, "a", 1.0)
    for k in range(100, 200):
        pace.add(100 + (k - 100) / 4, 1.0, 10.0, 1.0, "a", 1.0)
    rate, parallel = pace.lately(125.0)
    assert rate.structures == pytest.approx(105 / LATELY, rel=0.05)
    assert rate.rows == pytest.approx(10 * rate.structures)
    assert parallel == pytest.approx(rate.structures)
    overall, _ = pace.overall(125.0)
    assert overall.structures == pytest.approx(200 / 125)
    stalled, _ = pace.lately(1125.0)
    assert stalled.structures < 0.02


def test_the_rate_of_long_shards_looks_back_far_enough():
    pace = Pace(0.0)
    for k in range(1, 31):
        pace.add(100.0 * k, 100.0, 100.0, 100.0, "a", 1.0)
    rate, _ = pace.lately(3000.0)
    assert rate.structures == pytest.approx(1.0)
    assert rate.seconds >= 100 * FEW


def test_the_history_stays_short_and_loses_nothing():
    pace = Pace(50.0)
    rng = np.random.default_rng(1)
    times = np.sort(rng.uniform(50, 5050, 3000))
    for at in times:
        pace.add(at, 2.0, 3.0, 1.0, "a", 1.0)
    history = pace.history(5050.0)
    assert len(history) <= BINS
    width = history[1][0] - history[0][0]
    covered = times < 50 + width * len(history)
    assert sum(s for _, s, _ in history) * width == pytest.approx(2.0 * covered.sum())
    assert sum(r for _, _, r in history) * width == pytest.approx(3.0 * covered.sum())


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min"), (61, "1 min 1 s"),
        (3599.7, "1 h"), (5400, "1 h 30 min"), (47.5 * 3600, "47 h 30 min"), (50 * 3600, "2 d 2 h"),
        (10 * 86400, "10 d"),
    ],
)  # fmt: skip
def test_times_are_said_as_people_say_them(seconds, words):
    assert duration(seconds) == words
