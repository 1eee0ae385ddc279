"""An object store on loopback, one for all tests."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distdesc.campaign import Campaign
from distdesc.engine.run import run
from distdesc.place import ObjectPath
from distdesc.store import storage

pytest.importorskip("obstore")
pytest.importorskip("moto")
pytest.importorskip("flask_cors")

BUCKET = "campaigns"


class Server:
    """The server, and the door before it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def request(self, method: str, path: str, data: bytes | None = None) -> bytes:
        sent = urllib.request.Request(f"{self.url}/{path}", method=method, data=data)
        sent.add_header("Content-Type", "application/octet-stream")
        with urllib.request.urlopen(sent) as answer:
            return answer.read()

    def tell(self, **order: Any) -> None:
        self.request("POST", "_door", json.dumps(order).encode())

    def counts(self) -> dict[str, int]:
        return json.loads(self.request("GET", "_door"))

    def check_credentials(self, wanted: bool) -> None:
        """Moto refuses keys that it does not know, or takes any."""
        self.request("POST", "moto-api/reset-auth", b"0" if wanted else b"1000000000")


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    command = [sys.executable, str(Path(__file__).with_name("server.py"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            found = Server(process.stdout.readline().strip())
            found.request("PUT", BUCKET)
            yield found
        finally:
            process.kill()


@pytest.fixture
def bucket(server, monkeypatch, tmp_path) -> Iterator[ObjectPath]:
    """Where a test can put its stores, with the environment that leads there."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_ENDPOINT_URL": server.url,
        "AWS_REGION": "us-east-1",
        "TMPDIR": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    server.tell(reset=True)
    yield ObjectPath("s3", BUCKET, uuid.uuid4().hex)
    server.tell(reset=True)


@pytest.fixture(scope="session")
def section(molecules) -> dict[str, Any]:
    """A small campaign, but for its store."""
    return {
        "question": "What are the fingerprints of 60 molecules?",
        "source": {"name": "extxyz", "path": str(molecules)},
        "descriptor": {
            "name": "moment_invariants", "order": 3, "cutoff": 4.0,
            "elements": ["H", "C", "N", "O"],
        },
        "stage": [{"name": "fingerprint"}],
        "execution": {"executor": "serial"},
    }  # fmt: skip


@pytest.fixture
def make(section):
    """Campaign in a store."""

    def build(path: object, **sections: Any) -> Campaign:
        store = {"path": str(path), "shard_rows": 128, "chunk_rows": 32}
        return Campaign.from_dict({**section, "store": store, **sections})

    return build


@pytest.fixture(scope="session")
def finished(section, tmp_path_factory) -> Path:
    """The small campaign in a folder; not to be changed by a test."""
    path = tmp_path_factory.mktemp("finished") / "run.zarr"
    store = {"path": str(path), "shard_rows": 128, "chunk_rows": 32}
    run(Campaign.from_dict({**section, "store": store}))
    return path


@pytest.fixture
def store(bucket, finished) -> ObjectPath:
    """The small campaign, finished, in the bucket."""
    for name in storage.files(finished):
        storage.replace(bucket / name, (finished / name).read_bytes())
    return bucket


@pytest.fixture
def fetched(tmp_path):
    """Copy of a store in the bucket, in a folder."""

    def fetch(store: ObjectPath) -> Path:
        folder = tmp_path / "fetched"
        shutil.rmtree(folder, ignore_errors=True)
        for name in storage.files(store):
            storage.replace(folder / name, storage.read(store / name))
        return folder

    return fetch
