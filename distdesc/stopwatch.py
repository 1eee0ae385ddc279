"""Where the seconds of an attempt go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter


class Stopwatch:
    """
    Wall time by activity, such as ``read``, ``neighbours``, ``kernel``, ``write``.

    Attributes
    ----------
    seconds : dict of str to float
        Accumulated wall time of each activity, in s.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, activity: str) -> Iterator[None]:
        """
        Add the time spent in a ``with`` block to an activity.

        Parameters
        ----------
        activity : str
            Its name.
        """
        start = perf_counter()
        try:
            yield
        finally:
            self.seconds[activity] = self.seconds.get(activity, 0.0) + perf_counter() - start
