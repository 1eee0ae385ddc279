"""Dask's report of a run, kept with the run: what every worker did when, as one page of HTML."""

from __future__ import annotations

import logging
import tempfile
import time
from pathlib import Path

from distributed import Client, performance_report
from distributed.comm import CommClosedError

from distdesc.place import Place
from distdesc.store import storage

log = logging.getLogger(__name__)

REPORT = "run/performance-{time}.html"
"""Name of the report, in the store."""


class PerformanceReport:
    """
    Report of what a cluster does from here on.

    Parameters
    ----------
    client : distributed.Client
        Connected.
    store : Place
        Where the report goes.
    """

    def __init__(self, client: Client, store: Place) -> None:
        self.client, self.store = client, store
        self._folder = tempfile.TemporaryDirectory(prefix="distdesc-")
        self._file = Path(self._folder.name) / "report.html"
        self._report = performance_report(str(self._file), mode="inline")
        with client.as_current():
            self._report.__enter__()

    def keep(self) -> None:
        """Write the report; without it if the scheduler is gone."""
        try:
            if self.client.status == "running":
                with self.client.as_current():
                    self._report.__exit__(None, None, None)
                stamp = time.strftime("%Y%m%dT%H%M%S")
                name = REPORT.format(time=stamp)
                storage.replace(self.store / name, self._file.read_bytes())
        except (CommClosedError, OSError, TimeoutError) as error:
            log.warning("no performance report was kept: %s", error)
        finally:
            self._folder.cleanup()
