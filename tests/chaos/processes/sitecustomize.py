"""On PYTHONPATH of the processes of these tests: the treacherous descriptor, and their log."""

from __future__ import annotations

import logging
import os
import sys

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
