"""When the rest of the shards will be done, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot, sqrt

from distdesc.monitor.facts import TimeLeft

LEAST = 3
"""Shards that must be done before anything is said about the others."""


@dataclass
class ShardTimes:
    """
    Sums over the shards that are done, from which the time of the others is estimated.

    A shard of cost c, the atoms that it reads, is taken to need b c seconds of a worker, give
    or take a deviation that is the same for all shards.

    Parameters
    ----------
    n : int
        Shards.
    cost, seconds : float
        Sums of the costs, and of the seconds.
    cost2, seconds2, product : float
        Sums of their squares and products.
    """

    n: int = 0
    cost: float = 0.0
    seconds: float = 0.0
    cost2: float = 0.0
    seconds2: float = 0.0
    product: float = 0.0

    def add(self, cost: float, seconds: float) -> None:
        """
        Take another shard into account.

        Parameters
        ----------
        cost : float
            Its cost.
        seconds : float
            Worker time, in s.
        """
        self.n += 1
        self.cost += cost
        self.seconds += seconds
        self.cost2 += cost * cost
        self.seconds2 += seconds * seconds
        self.product += cost * seconds

    @property
    def slope(self) -> float:
        """Seconds by cost; 0 if nothing is known."""
        return self.seconds / self.cost if self.cost > 0 else 0.0

    @property
    def variance(self) -> float:
        """Of the seconds of a shard, about what its cost says, in s²."""
        residual = self.seconds2 - 2 * self.slope * self.product + self.slope**2 * self.cost2
        return max(0.0, residual) / max(1, self.n - 1)

    def rest(self, n: int, cost: float) -> tuple[float, float]:
        """
        Worker time of shards that are not done, and its standard deviation, in s.

        Parameters
        ----------
        n : int
            Their number.
        cost : float
            Sum of their costs.
        """
        # Of the others' own deviations, and of the slope: the error of a ratio of means.
        error = sqrt(self.variance * (n + self.n * (cost / self.cost) ** 2))
        return self.slope * cost, error


@dataclass(frozen=True)
class Rest:
    """
    What is left of a stage.

    Parameters
    ----------
    stage : str
        Its name.
    n : int
        Shards that are not done.
    cost : float
        Sum of their costs.
    times : ShardTimes
        Of those that are.
    """

    stage: str
    n: int
    cost: float
    times: ShardTimes


def time_left(
    rests: Sequence[Rest],
    running: float,
    parallel: float,
    parallel_now: float,
    slowness: tuple[float, int] = (1.0, 0),
) -> TimeLeft | None:
    """
    Time until all shards are done.

    Parameters
    ----------
    rests : sequence of Rest
        Of all stages.
    running : float
        Worker time that shards under way have had, in s.
    parallel, parallel_now : float
        Worker seconds per second of wall time: since this run began, and lately.
    slowness : tuple of float and int
        Worker seconds of shards lately, for each that they would have needed at the speed of the
        whole run, and how many shards they are.

    Returns
    -------
    TimeLeft or None
        None if nothing is left, or too little is done.
    """
    known = [r for r in rests if r.n and r.times.n >= LEAST and r.times.cost > 0]
    if not known or parallel <= 0:
        return None
    work, variance = 0.0, 0.0
    for rest in known:
        seconds, error = rest.times.rest(rest.n, rest.cost)
        work, variance = work + seconds, variance + error * error
    slower, change = _slower(known, *slowness)
    work = max(work * slower - running, 0.0)
    pace = parallel_now if parallel_now > 0 else parallel
    seconds = work / pace
    # The last shard ends when it ends, however many workers wait for it.
    grain = max(r.times.seconds / r.times.n for r in known) * slower / 2
    drift = seconds * abs(pace - parallel) / (2 * max(pace, parallel))
    error = hypot(sqrt(variance) * slower / pace, drift, seconds * change, grain)
    without = tuple(r.stage for r in rests if r.n and r not in known)
    return TimeLeft(seconds, max(0.0, seconds - 2 * error), seconds + 2 * error, without)


def _slower(rests: Sequence[Rest], ratio: float, n: int) -> tuple[float, float]:
    """
    Factor by which shards take longer now than in the mean, and its relative error.

    A change that is no larger than that of so many shards by chance is hardly believed.
    """
    spread = max(sqrt(r.times.variance) * r.times.n / max(r.times.seconds, 1e-9) for r in rests)
    chance, change = spread**2 / max(1, n), (ratio - 1) ** 2
    trust = change / (change + chance) if change > 0 else 0.0
    slower = 1 + (ratio - 1) * trust
    # What has changed may change back by half.
    return slower, abs(slower - 1) / (2 * max(slower, 1.0))
