"""On PYTHONPATH of processes of tests: the treacherous descriptor, their log, and a gate."""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from pathlib import Path

# Only distdesc's and Dask's processes, not every tool that happens to be started.
from distdesc.descriptors import DESCRIPTORS

sys.path.insert(0, os.path.dirname(__file__))
DESCRIPTORS["treacherous"] = "treacherous:Treacherous"

if "DISTDESC_TEST_LOG" in os.environ:
    # One short line a write, appended: lines of many processes do not mix.
    handler = logging.FileHandler(os.environ["DISTDESC_TEST_LOG"])
    handler.setFormatter(logging.Formatter("%(created).6f %(process)d %(message)s"))
    log = logging.getLogger("distdesc.engine.task")
    log.setLevel(logging.DEBUG)
    log.addHandler(handler)

if "DISTDESC_TEST_GATE" in os.environ:
    gate = Path(os.environ["DISTDESC_TEST_GATE"])

    class Gate(logging.Handler):
        """Holds attempts of all shards but the first three, within them, until the gate opens."""

        def emit(self, record: logging.LogRecord) -> None:
            shard = re.fullmatch(r"fingerprint-(\d+) begun", record.getMessage())
            if shard is not None and int(shard[1]) >= 3:
                gate.with_name(f"{gate.name}.{os.getpid()}").touch()
                while not gate.exists():
                    time.sleep(0.02)

    log = logging.getLogger("distdesc.engine.task")
    log.setLevel(logging.DEBUG)
    log.addHandler(Gate())
