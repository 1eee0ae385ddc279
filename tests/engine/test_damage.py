"""Any bit of what a run is steered by: a flipped one is found before a row is computed by it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from support import contents

from distdesc.campaign import Campaign
from distdesc.engine.run import run
from distdesc.engine.verify import verify
from distdesc.errors import SourceError, StoreError
from distdesc.store.npy import read_npy
from distdesc.store.receipts import is_complete, receipt_path
from distdesc.store.written import read_plan, read_shard_table, shard_table_path
from distdesc.structures.index import SourceIndex

STAGE = "fingerprint"
INDEX = Path("run/index")


@pytest.fixture
def store(finished, tmp_path) -> Path:
    path = tmp_path / "copy.zarr"
    shutil.copytree(finished, path)
    return path


def again(path: Path) -> None:
    campaign = read_plan(path).campaign
    section = {**campaign["store"], "path": str(path)}
    run(Campaign.from_dict({**campaign, "store": section}))


def flip(file: Path, place: int, bit: int = 0) -> None:
    data = bytearray(file.read_bytes())
    data[place] ^= 1 << bit
    file.write_bytes(data)


@pytest.mark.parametrize(
    ("file", "place"),
    [
        # Structures start and stop, first row of the second shard; the header has 128 bytes.
        (shard_table_path(Path(), STAGE), 128 + 32),
        (shard_table_path(Path(), STAGE), 128 + 40),
        (shard_table_path(Path(), STAGE), 128 + 48),
        (INDEX / "atom_counts.npy", 128),
        (INDEX / "locators.npy", 128 + 8),
    ],
    ids=str,
)
def test_no_row_is_computed_by_what_a_flipped_bit_says(store, finished, file, place):
    flip(store / file, place)
    receipt_path(store, STAGE, 1).unlink()
    again(store)
    assert contents(store) == contents(finished)
    assert verify(store).faults == ()


@pytest.mark.parametrize("bit", range(8))
def test_every_bit_of_the_headers_and_of_the_record_of_an_index_counts(store, tmp_path, bit):
    folder, copy = store / INDEX, tmp_path / "index"
    shutil.copytree(folder, copy)
    whole = SourceIndex.load(folder)
    for file, places in (("atom_counts.npy", 90), ("locators.npy", 90), ("index.json", None)):
        data = (folder / file).read_bytes()
        for place in range(0, len(data[:places]), 1 + len(data[:places]) // 90):
            flip(copy / file, place, bit)
            try:
                found = SourceIndex.load(copy)
                sound = found.damage(copy) is None
            except SourceError:
                sound = False
            if sound:
                # Such as a blank that became a tab: nothing that is read is different.
                assert all(
                    np.array_equal(getattr(found, k), getattr(whole, k))
                    for k in ("atom_counts", "locators")
                )
                assert (found.digest, found.files) == (whole.digest, whole.files)
                assert found.problems == whole.problems
            (copy / file).write_bytes(data)


@pytest.mark.parametrize(
    "header",
    [
        "k'descr': '<i8', 'fortran_order': False, 'shape': (2, 4), }",
        "{'descr': '<i8', 'fortran_order': False, 'shape': (2, 4), } (",
        "{'descr': '>i8', 'fortran_order': False, 'shape': (2, 4), }",
        "{'descr': '<i8', 'fortran_order': True, 'shape': (2, 4), }",
        "{'descr': '<u8', 'fortran_order': False, 'shape': (2, 4), }",
        "{'descr': '<i8', 'fortran_order': False, 'shape': (8,), }",
        "{'descr': '<i8', 'fortran_order': False, 'shape': (-2, 4), }",
        "{'descr': '<i8', 'fortran_order': False, 'shape': (2, 9000000000000000000000), }",
        "[" * 500,
    ],
)
def test_a_header_that_is_another_is_refused(tmp_path, header):
    text = header.encode().ljust(1013) + b"\n"
    data = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(64)
    (tmp_path / "table.npy").write_bytes(data)
    for file in (data, tmp_path / "table.npy"):
        with pytest.raises(ValueError, match=r"."):
            read_npy(file, "<i8", 2)
    whole = np.arange(8).reshape(2, 4)
    np.save(tmp_path / "table.npy", whole)
    assert np.array_equal(read_npy(tmp_path / "table.npy", "<i8", 2), whole)


def test_a_table_that_is_an_archive_is_refused(store):
    file = shard_table_path(store, STAGE)
    with file.open("wb") as opened:
        np.savez(opened, table=np.zeros((2, 4), np.int64))
    with pytest.raises(StoreError, match=r"fingerprint\.npy cannot be read: it is no array"):
        read_shard_table(store, STAGE)


def test_a_receipt_of_no_shard_does_not_stand_for_one_that_is_missing(store, finished):
    whole = receipt_path(store, STAGE, 1)
    shutil.copy(whole, receipt_path(store, STAGE, 99))
    assert is_complete(store, read_plan(store))
    whole.unlink()
    assert not is_complete(store, read_plan(store))
    again(store)
    assert [f.shard for f in verify(store, recomputed=0, repair=True).faults] == [99]
    assert verify(store).faults == ()
    assert contents(store) == contents(finished)
