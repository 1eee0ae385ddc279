"""Stores are data: what means harm is refused by name, and nothing outside of it is touched."""

from __future__ import annotations

import ast
import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from support import contents, rewrite

import distdesc
from distdesc.campaign import Campaign
from distdesc.engine.run import run
from distdesc.engine.verify import verify
from distdesc.engine.workspace import rebuild
from distdesc.errors import DistdescError, StoreError
from distdesc.report.reader import open_run
from distdesc.report.summary import summarise
from distdesc.store.containment import inside
from distdesc.store.fits import read_arrays
from distdesc.store.receipts import done_shards, receipt_path
from distdesc.store.rows import RowReader
from distdesc.store.written import plan_path, read_plan, shard_table_path

STAGE = "fingerprint"
DEEP = b"[" * 200_000 + b"]" * 200_000


@pytest.fixture
def store(finished, tmp_path) -> Path:
    """A good store, to be made a bad one, beside files that are none of its business."""
    outside = tmp_path / "outside"
    (outside / "00000").mkdir(parents=True)
    (outside / "c").mkdir()
    (outside / "00000" / f"{STAGE}-00000000.json").write_text("mine")
    (outside / "secret").write_text("mine")
    path = tmp_path / "store.zarr"
    shutil.copytree(finished, path)
    return path


@pytest.fixture
def outside(store):
    """Look afterwards whether anything outside was read into, written or deleted."""
    folder = store.parent / "outside"
    before = tree(folder)
    yield folder
    assert tree(folder) == before


def tree(folder: Path) -> dict[str, bytes]:
    found = folder.rglob("*")
    return {str(f): f.read_bytes() if f.is_file() else b"" for f in found}


def change_plan(store: Path, **changes) -> None:
    rewrite(store / "run" / "plan.json", **changes)


def change_layout(store: Path, **changes) -> None:
    data = json.loads((store / "run" / "plan.json").read_bytes())
    change_plan(store, layouts=[{**data["layouts"][0], **changes}])


def change_metadata(store: Path, array: str, **changes) -> None:
    """Of an array, where it is and where they are consolidated."""
    own, root = store / array / "zarr.json", store / "zarr.json"
    data = {**json.loads(own.read_text()), **changes}
    own.write_text(json.dumps(data))
    group = json.loads(root.read_text())
    group["consolidated_metadata"]["metadata"][array] = data
    root.write_text(json.dumps(group))


def campaign_of(store: Path, finished: Path) -> Campaign:
    data = read_plan(finished).campaign
    return Campaign.from_dict({**data, "store": {**data["store"], "path": str(store)}})


def result(act):
    """What something gives, and how it was refused."""
    try:
        return act(), ""
    except DistdescError as error:
        return None, str(error)


def verify_and_run(store: Path, finished: Path) -> None:
    verify(store, recomputed=0, repair=True)
    run(campaign_of(store, finished))


def look(path: Path) -> None:
    """Everything that is done with a store that somebody sent."""
    found = open_run(path)
    summarise(found)
    found.status(STAGE)
    found.reader.read(STAGE, 0, 10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stage": "../../outside/x"}, "stage must be a name of letters"),
        ({"stage": "/etc/passwd"}, "stage must be a name of letters"),
        ({"stage": ["a"]}, "stage must be a name of letters"),
        ({"n_rows": 10**30}, "n_rows must be a whole number from 0"),
        ({"n_rows": "9"}, "n_rows must be a whole number from 0"),
        ({"n_rows": 10**13, "shard_rows": 128}, "at most 1000000000 shards"),
        ({"shard_rows": True}, "shard_rows must be a whole number"),
        ({"capacity": -1}, "capacity must be a whole number"),
        ({"unknown": 1}, "unexpected keyword"),
    ],
)
def test_a_plan_whose_layout_leads_astray_is_refused(store, outside, change, message):
    change_layout(store, **change)
    for act in (look, verify):
        with pytest.raises(StoreError, match=message) as caught:
            act(store)
        assert "plan.json" in str(caught.value)


@pytest.mark.parametrize("content", [DEEP, b"\xff\xfe{", b"[]", b"", b'{"format": 1}', b"null"])
def test_a_plan_that_is_none_is_refused(store, outside, content):
    plan_path(store).write_bytes(content)
    with pytest.raises(StoreError, match=r"plan\.json is damaged"):
        look(store)


@pytest.mark.parametrize("content", [DEEP, b"\xff\xfe{", b"[]", b"null", b'{"arrays": 3}'])
def test_an_index_that_is_none_is_named(store, outside, content):
    (store / "run" / "index" / "index.json").write_bytes(content)
    assert "index" in verify(store).faults[0].what


@pytest.mark.parametrize(
    "change",
    [
        {"shard": "../../../outside"},
        {"shard": 1},
        {"stage": "../../outside"},
        {"objects": {"../../outside/secret": ["x", "y"]}},
        {"rows": DEEP.decode()[:100]},
        {"quarantined": 3},
    ],
)
def test_a_receipt_that_lies_about_what_it_is_is_damaged(store, outside, change, finished):
    rewrite(receipt_path(store, STAGE, 0), **change)
    found = verify(store, recomputed=0, repair=True)
    assert [(f.stage, f.shard) for f in found.faults] == [(STAGE, 0)] * len(found.faults) != []
    run(campaign_of(store, finished))
    assert contents(store) == contents(finished)


@pytest.mark.parametrize("content", [DEEP, b"\xff\xfe{", b"[]"])
def test_a_receipt_that_is_none_is_damaged(store, outside, content):
    receipt_path(store, STAGE, 0).write_bytes(content)
    assert "is damaged" in verify(store, recomputed=0).faults[0].what


def test_files_among_the_receipts_that_are_none_are_not_taken_for_some(store, outside):
    folder = receipt_path(store, STAGE, 0).parent
    for name in ("evil.json", "-.json", "fingerprint-x.json", "../sub.json"):
        (folder / name).write_text("{}")
    assert done_shards(store, STAGE) == done_shards(store, STAGE) & set(range(1000))
    look(store)


@pytest.mark.parametrize(
    "link",
    ["run", "run/receipts", "run/shards", "run/index", "run/fit", "run/receipts/fingerprint",
     "run/receipts/fingerprint/00000", "run/plan.json", "run/shards/fingerprint.npy",
     "run/receipts/fingerprint/00000/fingerprint-00000000.json",
     "fingerprint", "fingerprint/c", "fingerprint/c/0", "fingerprint/c/0/0",
     "fingerprint/zarr.json", "zarr.json"],
)  # fmt: skip
@pytest.mark.parametrize("relative", [False, True])
def test_links_that_lead_out_are_refused_and_nothing_behind_them_is_touched(
    store, outside, finished, link, relative
):
    place = store / link
    is_file = place.is_file()
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
    target = outside / "secret" if is_file else outside
    place.symlink_to(os.path.relpath(target, place.parent) if relative else target)
    found, error = result(lambda: verify(store, recomputed=0))
    if error:
        assert str(place) in error
        assert "leads out of the store" in error
    else:
        lost = found.shards_done < found.shards
        assert lost or any(link in fault.what for fault in found.faults)
    _, error = result(lambda: verify_and_run(store, finished))
    if error:
        assert str(place) in error
    else:
        # The link itself was replaced, by what has to be there.
        assert not place.is_symlink()
        assert contents(store) == contents(finished)


def test_links_that_stay_within_are_followed(store, outside, finished):
    (store / STAGE).rename(store / "elsewhere")
    (store / STAGE).symlink_to("elsewhere")
    look(store)
    assert not verify(store, recomputed=0).faults
    assert inside(store, store / STAGE / "c" / "0" / "0")


class Harm:
    """What a pickle can do: anything."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def test_pickles_are_never_read(store, outside, finished, tmp_path):
    mark = tmp_path / "was-run"
    harm = np.empty(3, dtype=object)
    harm[:] = [Harm(mark)] * 3
    for file in (shard_table_path(store, STAGE), store / "run" / "index" / "locators.npy"):
        np.save(file, harm, allow_pickle=True)
        assert any(file.parent.name in str(fault) for fault in verify(store).faults)
        run(campaign_of(store, finished))
        assert contents(store) == contents(finished)
    np.savez(tmp_path / "sketch.npz", allow_pickle=True, evil=harm)
    with pytest.raises(StoreError, match=r"sketch\.npz is damaged"):
        read_arrays(tmp_path / "sketch.npz")
    # Zarr of format 2 has a codec that unpickles: alone, and in consolidated metadata.
    old = {"zarr_format": 2, "shape": [3], "chunks": [3], "dtype": "<f8", "fill_value": 0,
           "order": "C", "compressor": None, "filters": [{"id": "pickle"}]}  # fmt: skip
    chunk = pickle.dumps([harm, "<f8", [3]])
    change_metadata(store, STAGE, **old, node_type="array", attributes={})
    (store / STAGE / "0").write_bytes(chunk)
    with pytest.raises(StoreError, match="is not a Zarr store"):
        RowReader(store).read(STAGE, 0, 3)
    change_metadata(store, STAGE, **{**old, "filters": None}, node_type="array", attributes={})
    with pytest.raises(StoreError, match=r"zarr\.json must have Zarr format 3, got 2"):
        RowReader(store).read(STAGE, 0, 3)
    shutil.rmtree(store / STAGE)
    (store / "zarr.json").unlink()
    (store / ".zgroup").write_text('{"zarr_format": 2}')
    (store / STAGE).mkdir()
    (store / STAGE / ".zarray").write_text(json.dumps(old))
    (store / STAGE / "0").write_bytes(chunk)
    with pytest.raises(StoreError, match="is not a Zarr store"):
        RowReader(store)
    assert not mark.exists()
    pickle.loads(pickle.dumps(Harm(mark)))
    assert mark.exists(), "it would have been seen"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data_type": "fixed_length_utf32"}, "is not a Zarr store"),
        ({"data_type": "raw_bytes"}, "is not a Zarr store"),
        ({"codecs": [{"name": "bytes", "configuration": {"endian": "little"}},
                         {"name": "numcodecs.bz2", "configuration": {"level": 1}}]},
         "a codec that is not accepted"),
        ({"codecs": [{"name": "nonsense"}]}, "is not a Zarr store"),
        ({"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [10**12, 1]}},
          "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}]},
         "must have chunks of at most 2147483648 bytes"),
        ({"shape": "all"}, "is not a Zarr store"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr version 3")
def test_arrays_that_were_not_written_so_are_refused(store, outside, change, message):
    change_metadata(store, STAGE, **change)
    with pytest.raises(StoreError, match=message) as caught:
        RowReader(store).read(STAGE, 0, 3)
    assert str(store) in str(caught.value)


def test_an_array_that_declares_more_than_fits_into_memory_is_not_read(store, outside):
    n = RowReader(store).array(STAGE).shape[1]
    change_metadata(store, STAGE, shape=[10**14, n])
    with pytest.raises(StoreError, match=r"fingerprint\[0:100000000000000\] would take .* GiB"):
        RowReader(store).read(STAGE, 0, 10**14)
    assert len(RowReader(store).read(STAGE, 0, 3)) == 3


@pytest.mark.parametrize("content", [DEEP, b"\xff\xfe{", b"[]", b"", b"null"])
@pytest.mark.parametrize("name", ["zarr.json", f"{STAGE}/zarr.json"])
def test_metadata_that_are_none_are_refused(store, outside, finished, content, name):
    (store / name).write_bytes(content)
    if name == "zarr.json":
        with pytest.raises(StoreError, match="is not a Zarr store"):
            RowReader(store)
    assert any(name in f.what for f in verify(store, recomputed=0).faults)
    run(campaign_of(store, finished))
    assert contents(store) == contents(finished)


def test_a_compressed_table_that_is_larger_than_it_looks_is_not_unpacked(tmp_path):
    file = tmp_path / "bomb.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mean.npy", b"\0" * 2**20)
    with pytest.raises(StoreError, match=r"bomb\.npz is damaged: mean\.npy is compressed"):
        read_arrays(file)


def test_a_plan_does_not_learn_the_environment(store, monkeypatch):
    monkeypatch.setenv("SECRET", "hush")
    data = json.loads((store / "run" / "plan.json").read_bytes())["campaign"]
    data["source"]["path"] = "/data/${SECRET}.xyz"
    change_plan(store, campaign=data)
    assert rebuild(read_plan(store)).sections["source"]["path"] == "/data/${SECRET}.xyz"
    with pytest.raises(DistdescError) as caught:
        run(rebuild(read_plan(store)))
    assert "hush" not in str(caught.value)


FORBIDDEN = {"eval", "exec", "compile", "__import__"}
UNSAFE = {("pickle", "load"), ("pickle", "loads"), ("marshal", "loads"), ("yaml", "load"),
          ("joblib", "load"), ("os", "system"), ("shelve", "open"), ("torch", "load")}  # fmt: skip


def unsafe(code: str) -> list[str]:
    """What could run what it reads."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [a.name for a in node.names] + [getattr(node, "module", None) or ""]
            found += [
                n for n in names if n.split(".")[0] in ("pickle", "marshal", "shelve", "dill")
            ]
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Name) and called.id in FORBIDDEN:
            found.append(called.id)
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
            if (called.value.id, called.attr) in UNSAFE:
                found.append(f"{called.value.id}.{called.attr}")
            if (called.value.id, called.attr) == ("np", "load"):
                safe = [k for k in node.keywords if k.arg == "allow_pickle"]
                if not safe or getattr(safe[0].value, "value", True) is not False:
                    found.append("np.load without allow_pickle=False")
        found += [
            f"{k.arg}=True"
            for k in node.keywords
            if k.arg in ("allow_pickle", "shell") and getattr(k.value, "value", False) is not False
        ]
    return found


def test_nothing_in_the_package_runs_what_it_reads():
    package = Path(distdesc.__file__).parent
    found = {f.name: unsafe(f.read_text()) for f in package.rglob("*.py")}
    assert not {name: what for name, what in found.items() if what}


@pytest.mark.parametrize(
    "code",
    ["eval('1')", "exec(text)", "import pickle", "from pickle import loads", "np.load(file)",
     "np.load(file, allow_pickle=True)", "np.load(f, allow_pickle=x)", "yaml.load(text)",
     "subprocess.run(text, shell=True)"],
)  # fmt: skip
def test_what_would_is_seen(code):
    assert unsafe(code)
