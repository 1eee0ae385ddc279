"""A campaign that takes a while, and what it has to come to."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import contents

from distdesc.store.receipts import done_shards

PROCESSES = Path(__file__).parent.parent / "chaos" / "processes"

JOB = """\
question = "Is anything lost?"
[source]
name = "extxyz"
path = "{molecules}"
[descriptor]
name = "treacherous"
order = 2
[[stage]]
name = "fingerprint"
[store]
path = "{store}"
shard_rows = 24
chunk_rows = 24
"""


@dataclass
class Work:
    """A job file, its store, and the environment in which its processes compute slowly."""

    job: Path
    store: Path
    expected: dict[str, bytes]
    environment: dict[str, str]

    @property
    def done(self) -> int:
        """How many of its shards are done."""
        return len(done_shards(self.store, "fingerprint")) if self.store.exists() else 0

    def wait_for(self, shards: int, seconds: float = 90) -> None:
        """Wait until so many shards are done."""
        end = time.monotonic() + seconds
        while self.done < shards:
            assert time.monotonic() < end, f"{self.done} of {shards} shards within {seconds} s"
            time.sleep(0.1)

    def check(self) -> None:
        """Whether the store is complete, true, and what a serial run writes."""
        command = [sys.executable, "-m", "distdesc", "verify", str(self.store)]
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment)
        assert done.returncode == 0, done.stdout + done.stderr
        assert contents(self.store) == self.expected


@pytest.fixture
def work(molecules, tmp_path):
    """60 molecules in 41 shards, each of which takes half a second or so."""
    quick = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(PROCESSES), os.environ.get("PYTHONPATH")])),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "5s",
    }

    def write(name: str) -> tuple[Path, Path]:
        job, store = tmp_path / f"{name}.toml", tmp_path / f"{name}.zarr"
        job.write_text(JOB.format(molecules=molecules, store=store))
        return job, store

    job, store = write("serial")
    command = [sys.executable, "-m", "distdesc", "run", str(job), "--executor", "serial"]
    subprocess.run(command, check=True, capture_output=True, env=quick)
    expected = contents(store)
    return Work(*write("run"), expected, quick | {"DISTDESC_TEST_PAUSE": "1.0"})
