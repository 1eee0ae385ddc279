"""How fast work is done: lately, since the beginning, and in between."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from distdesc.monitor.facts import Rate

LATELY = 30.0
"""Seconds that count as now, or longer if hardly a shard was done in them."""

FEW = 12
"""Shards from which a rate is taken at least, if there are so many."""

KEPT = 4096
"""Shards that are remembered one by one; of the others, only sums are."""

BINS = 60
"""Points of the history at most; when there are more, they are joined in pairs."""

Work = tuple[float, float, float]
"""Structures, rows, and seconds of a worker."""

Shard = tuple[float, Work, str, float]
"""Unix time at which it was done, work, stage and cost."""


class Pace:
    """
    Work by the time at which it was done.

    Parameters
    ----------
    began : float
        Unix time of the beginning.
    """

    def __init__(self, began: float) -> None:
        self.began = began
        self._last: deque[Shard] = deque(maxlen=KEPT)
        self._sum: Work = (0.0, 0.0, 0.0)
        self._width = 2.0
        self._bins: list[list[float]] = []

    def add(
        self, at: float, structures: float, rows: float, seconds: float, stage: str, cost: float
    ) -> None:
        """
        Note that a shard is done.

        Parameters
        ----------
        at : float
            Unix time.
        structures, rows : float
            Done in it.
        seconds : float
            Of a worker.
        stage : str
            Of the shard.
        cost : float
            What it was expected to cost, see `ShardTimes`.
        """
        self._last.append((at, (structures, rows, seconds), stage, cost))
        a, b, c = self._sum
        self._sum = (a + structures, b + rows, c + seconds)
        place = int(max(0.0, at - self.began) / self._width)
        while place >= BINS:
            self._bins = [_joined(self._bins[k : k + 2]) for k in range(0, len(self._bins), 2)]
            self._width *= 2
            place = int(max(0.0, at - self.began) / self._width)
        while len(self._bins) <= place:
            self._bins.append([0.0, 0.0])
        self._bins[place][0] += structures
        self._bins[place][1] += rows

    def overall(self, now: float) -> tuple[Rate, float]:
        """
        Rate since the beginning, and worker seconds per second of wall time.

        Parameters
        ----------
        now : float
            Unix time.
        """
        return _rate(self._sum, now - self.began)

    def lately(self, now: float) -> tuple[Rate, float]:
        """
        Rate now, and worker seconds per second of wall time.

        Parameters
        ----------
        now : float
            Unix time.
        """
        a = b = c = 0.0
        shards, start = self._window(now)
        for _, (structures, rows, seconds), _, _ in shards:
            a, b, c = a + structures, b + rows, c + seconds
        return _rate((a, b, c), now - start)

    def slowness(self, now: float, slopes: Mapping[str, float]) -> tuple[float, int]:
        """
        Worker seconds of shards lately, for each that they were expected to need; their number.

        Parameters
        ----------
        now : float
            Unix time.
        slopes : mapping of str to float
            Worker seconds by cost, of each stage.
        """
        shards, _ = self._window(now)
        seconds = sum(work[2] for _, work, _, _ in shards)
        expected = sum(slopes[stage] * cost for _, _, stage, cost in shards)
        return (seconds / expected if expected > 0 else 1.0), len(shards)

    def _window(self, now: float) -> tuple[list[Shard], float]:
        """Shards of lately, the last first, and when that began."""
        shards: list[Shard] = []
        for shard in reversed(self._last):
            # What was done at the very beginning of what is remembered is not part of it.
            n = len(shards)
            if (shard[0] < now - LATELY and n >= FEW) or n == KEPT - 1:
                return shards, shard[0]
            shards.append(shard)
        return shards, self.began

    def history(self, now: float) -> tuple[tuple[float, float, float], ...]:
        """
        Rates of structures and rows from each time to the next, in seconds since the beginning.

        Parameters
        ----------
        now : float
            Unix time; what is not over by then is left out.
        """
        over = int(max(0.0, now - self.began) / self._width)
        bins = [*self._bins, *([[0.0, 0.0]] * (min(over, BINS) - len(self._bins)))][:over]
        return tuple(
            (k * self._width, a / self._width, b / self._width) for k, (a, b) in enumerate(bins)
        )


def _joined(bins: list[list[float]]) -> list[float]:
    return [sum(b[0] for b in bins), sum(b[1] for b in bins)]


def _rate(work: Work, seconds: float) -> tuple[Rate, float]:
    if seconds <= 0:
        return Rate(0.0, 0.0, 0.0), 0.0
    return Rate(work[0] / seconds, work[1] / seconds, seconds), work[2] / seconds
