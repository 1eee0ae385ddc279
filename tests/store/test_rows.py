"""Arrays: whole shards only, ragged slots, damage is noticed."""

from __future__ import annotations

import numpy as np
import pytest

from distdesc.errors import StoreError
from distdesc.schema import ArraySpec, Ragged
from distdesc.store.arrays import consolidate, create_array, create_group, create_offsets
from distdesc.store.layout import StageLayout, slot_capacity
from distdesc.store.rows import RowReader, digest_file, digest_rows, object_path
from distdesc.store.writing import RowWriter

LAYOUT = StageLayout("test", "structure", 10, 4, 2, slot_capacity(Ragged(), 4, 7))
SPECS = {
    "value": ArraySpec("value", "<f8", (3,), ("xyz",), fill=float("nan"), unit="Å"),
    "flag": ArraySpec("flag", "|b1"),
    "text": ArraySpec("text", "string", fill=""),
    "positions": ArraySpec("positions", "<f8", (3,), ("xyz",), ragged=Ragged()),
}


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "store.zarr"
    create_group(path, {"what": "test"})
    for spec in SPECS.values():
        create_array(path, LAYOUT, spec)
    create_offsets(path, np.arange(11), 4)
    consolidate(path)
    return path


def test_whole_shards_come_back_and_the_rest_is_fill(store):
    writer = RowWriter(store, LAYOUT, SPECS.values())
    rows = np.arange(12.0).reshape(4, 3)
    writer.write("value", 1, rows)
    writer.write("value", 2, rows[:2])
    writer.write("text", 0, np.array(["a", "", "Å", "long " * 100], dtype=object))
    reader = RowReader(store)
    assert np.array_equal(reader.read("value", 4, 10), np.concatenate([rows, rows[:2]]))
    assert np.isnan(reader.read("value", 0, 4)).all()
    assert list(reader.read("text", 0, 5)) == ["a", "", "Å", "long " * 100, ""]
    assert np.array_equal(reader.read("offsets", 0, 11), np.arange(11))
    assert reader.attributes() == {"what": "test"}
    assert reader.attributes("value")["unit"] == "Å"
    assert reader.length("value") == 10
    assert set(reader.names()) == {*SPECS, "offsets"}


@pytest.mark.parametrize("n", [1, 3, 5])
def test_a_partial_shard_is_refused(store, n):
    writer = RowWriter(store, LAYOUT, SPECS.values())
    with pytest.raises(StoreError, match=rf"value\[4:8\] takes 4 rows of shape \(3,\), got {n}"):
        writer.write("value", 1, np.zeros((n, 3)))


def test_rows_of_another_shape_are_refused(store):
    writer = RowWriter(store, LAYOUT, SPECS.values())
    with pytest.raises(StoreError, match=r"of shape \(3,\), got 4 of shape \(2,\)"):
        writer.write("value", 0, np.zeros((4, 2)))


def test_a_slot_takes_what_fits_and_no_more(store):
    writer = RowWriter(store, LAYOUT, SPECS.values())
    writer.write("positions", 1, np.ones((5, 3)))
    assert RowReader(store).read("positions", 7, 12).sum() == 15
    with pytest.raises(StoreError, match="takes 7 rows"):
        writer.write("positions", 1, np.ones((8, 3)))
    assert writer.write("positions", 2, np.ones((0, 3))) is None


def test_rows_equal_to_the_fill_value_are_stored_all_the_same(store):
    writer = RowWriter(store, LAYOUT, SPECS.values())
    stored = writer.write("value", 0, np.full((4, 3), np.nan))
    path = object_path(store, SPECS["value"], 0)
    assert stored == (path.stat().st_size, digest_file(path))


def test_a_damaged_object_is_rewritten_by_the_next_attempt(store):
    writer = RowWriter(store, LAYOUT, SPECS.values())
    before = writer.write("value", 0, np.ones((4, 3)))
    path = object_path(store, SPECS["value"], 0)
    path.write_bytes(path.read_bytes()[:-7])
    assert writer.write("value", 0, np.ones((4, 3))) == before
    assert RowReader(store).read("value", 0, 4).sum() == 12


def test_a_flipped_bit_is_noticed_on_reading(store):
    RowWriter(store, LAYOUT, SPECS.values()).write(
        "value", 0, np.random.default_rng(0).random((4, 3))
    )
    path = object_path(store, SPECS["value"], 0)
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"value\[0:4\] is damaged"):
        RowReader(store).read("value", 0, 4)


def test_a_folder_that_is_no_store_is_refused(tmp_path):
    with pytest.raises(StoreError, match="is not a Zarr store"):
        RowReader(tmp_path)


def test_digests_depend_on_values_and_their_order_only():
    a = np.arange(6.0).reshape(2, 3)
    assert digest_rows(a) == digest_rows(np.asfortranarray(a))
    assert digest_rows(a) != digest_rows(a[::-1])
    texts = np.array(["ab", "c"], dtype=object)
    assert digest_rows(texts) == digest_rows(texts.astype(np.dtypes.StringDType()))
    assert digest_rows(texts) != digest_rows(np.array(["a", "bc"], dtype=object))


def test_rows_are_taken_in_the_order_asked_for(store):
    writer = RowWriter(store, LAYOUT, SPECS.values())
    rows = np.arange(12.0).reshape(4, 3)
    writer.write("value", 0, rows)
    writer.write("value", 1, rows + 12)
    reader = RowReader(store)
    for wanted in ([3, 5, 4, 6], [2, 3, 4], [7, 7, 0], [], [6]):
        found = reader.take("value", np.array(wanted, dtype=np.int64))
        assert np.array_equal(found, np.arange(24.0).reshape(8, 3)[wanted])
    object_path(store, SPECS["value"], 1).write_bytes(b"damaged")
    for wanted in ([4, 5], [5, 4]):
        with pytest.raises(StoreError, match="is damaged"):
            reader.take("value", np.array(wanted))
