"""
What a store in a bucket costs: requests for each shard, and time to that of a folder.

    python benchmarks/object_store.py [--copies 40] [--repeats 3] [--latency 0]

featurises the molecules of `jobs/data` repeatedly, in one process, with order-7 moment invariants,
in the smallest shards that are made: about the fastest rows, so that requests weigh the most. The
server is moto's, on loopback; `--latency` lets each request take longer by so many milliseconds,
as those of a real one do. It prints requests by kind for each shard of a run, for each shard that
is done when a run is resumed, and of a verification; and, as ratios of medians of alternating
runs, wall time in the bucket to that in a folder that is synced, and to one that is not, of a run
and of a verification.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distdesc.campaign import Campaign
from distdesc.engine.run import run
from distdesc.engine.verify import verify
from distdesc.place import Place, place
from distdesc.store import storage

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "jobs" / "data" / "qm9_sample.xyz.xz"
SERVER = ROOT / "tests" / "object_stores" / "server.py"
BUCKET = "benchmark"


def campaign(source: Path, store: Place, sync: bool = True) -> Campaign:
    return Campaign.from_dict(
        {
            "question": "What does a bucket cost?",
            "source": {"name": "extxyz", "path": str(source)},
            "descriptor": {"name": "moment_invariants", "order": 7, "cutoff": 5.0,
                           "elements": ["H", "C", "N", "O", "F"]},
            "stage": [{"name": "fingerprint"}],
            "store": {"path": str(store), "shard_rows": 512, "sync": sync},
            "execution": {"executor": "serial"},
        }
    )  # fmt: skip


class Server:
    """The server, and the door before it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def request(self, method: str, path: str, data: bytes | None = None) -> bytes:
        """Answer to a request."""
        sent = urllib.request.Request(f"{self.url}/{path}", method=method, data=data)
        with urllib.request.urlopen(sent) as answer:
            return bytes(answer.read())

    def tell(self, **order: Any) -> None:
        """Give the door an order."""
        self.request("POST", "_door", json.dumps(order).encode())

    def counts(self) -> Counter[str]:
        """Requests since the last reset, by kind."""
        found = json.loads(self.request("GET", "_door"))
        return Counter({kind: n for kind, n in found.items() if kind != "at once"})


@contextmanager
def serving(latency: float) -> Iterator[Server]:
    """Serve a bucket on loopback, and let the environment lead there."""
    with subprocess.Popen(
        [sys.executable, str(SERVER)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            server = Server(process.stdout.readline().strip())
            os.environ |= {
                "AWS_ACCESS_KEY_ID": "key",
                "AWS_SECRET_ACCESS_KEY": "secret",
                "AWS_ENDPOINT_URL": server.url,
                "AWS_REGION": "us-east-1",
            }
            server.request("PUT", BUCKET)
            server.tell(latency=latency / 1e3)
            yield server
        finally:
            process.kill()


def timed(campaign: Campaign) -> tuple[float, float]:
    """Seconds that a run takes, and then a verification."""
    storage.delete_folder(campaign.path)
    begun = time.perf_counter()
    run(campaign)
    between = time.perf_counter()
    verify(campaign.path, recomputed=0)
    return between - begun, time.perf_counter() - between


def shown(counts: Counter[str], shards: int) -> str:
    each = {k: round(n / shards, 2) for k, n in sorted(counts.items())}
    return f"{sum(counts.values()) / shards:.1f} a shard: {each}"


def requests(server: Server, small: Campaign, large: Campaign, shards: tuple[int, int]) -> None:
    """Print requests of what is done for each shard: what a larger campaign has more of."""
    found: dict[str, list[Counter[str]]] = {"run": [], "resumed": [], "verified": []}
    for one in (small, large):
        storage.delete_folder(one.path)
        for name, counts in found.items():
            server.tell(reset=True)
            if name == "verified":
                assert not verify(one.path, recomputed=0).faults
            else:
                run(one)
            counts.append(server.counts())
    for name, (few, many) in found.items():
        print(f"{name}: {shown(many - few, shards[1] - shards[0])}; in all {sum(many.values())}")


def shards_of(campaign: Campaign) -> int:
    return run(campaign).layouts[0].n_shards


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("--copies", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--latency", type=float, default=0.0, help="ms that each request takes")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    text = lzma.decompress(SAMPLE.read_bytes())
    sources = []
    for copies in (max(1, options.copies // 4), options.copies):
        sources.append(folder / f"{copies}.xyz")
        sources[-1].write_bytes(text * copies)
    try:
        with serving(options.latency) as server:
            remote = [campaign(s, place(f"s3://{BUCKET}/{s.stem}.zarr")) for s in sources]
            few, many = (shards_of(c) for c in remote)
            print(f"{few} and {many} shards of 512 rows")
            requests(server, *remote, (few, many))
            places = {
                "bucket": remote[1],
                "folder, synced": campaign(sources[1], folder / "a.zarr"),
                "folder": campaign(sources[1], folder / "b.zarr", sync=False),
            }
            server.tell(latency=options.latency / 1e3)
            found: dict[str, list[tuple[float, float]]] = {k: [] for k in places}
            for _ in range(options.repeats):
                for name, one in places.items():
                    found[name].append(timed(one))
            for k, what in enumerate(("run", "verified")):
                medians = {name: statistics.median(t[k] for t in v) for name, v in found.items()}
                for name in ("folder, synced", "folder"):
                    ratio = medians["bucket"] / medians[name]
                    print(f"{what}: bucket to {name}: {ratio:.2f} times as long")
                print(f"{what}: a shard in the bucket: {medians['bucket'] / many * 1e3:.0f} ms")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
