"""Properties of whatever structure there may be, and of whatever may stand in a file."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from reference import strategies as any_of
from reference.extxyz_index import assert_index_is_right, assert_reading_is_safe
from reference.same import assert_same_structure

from distdesc.structures.mixed import MixedFiles
from distdesc.structures.pack import (
    dump_extra,
    from_column,
    group_of,
    load_extra,
    put_together,
    type_tag,
)
from distdesc.structures.places import REFUSED


def signs(structure):
    """Signs of the numbers, in which -0.0 differs from 0.0."""
    return [np.signbit(structure.positions).tolist(), np.signbit(structure.cell).tolist()]


@any_of.few_or_many(60, 2000)
def test_any_structure_is_packed_and_unpacked_bit_for_bit(n):
    @any_of.checked(n)
    @given(any_of.structures())
    def check(structure):
        groups = group_of(structure)
        taken = {
            (group, key): (type_tag(value), value)
            for group, values in groups.items()
            for key, value in values.items()
            if type_tag(value) is not None
        }
        for columns in ({}, taken):
            found, absent = load_extra(dump_extra(groups, columns, ()))
            assert not absent
            for (group, key), (tag, value) in columns.items():
                found.setdefault(group, {})[key] = from_column(tag, np.asarray(value)[()])
            again = put_together(
                found, structure.numbers, structure.positions, structure.cell, structure.pbc
            )
            assert_same_structure(again, structure)
            assert signs(again) == signs(structure)

    check()


@any_of.few_or_many(100, 2000)
def test_the_index_of_any_extended_xyz_is_that_of_its_slow_twin(n, tmp_path):
    @any_of.checked(n)
    @given(any_of.extxyz_files())
    def check(data):
        assert_index_is_right(data, tmp_path / "x.xyz")
        assert_reading_is_safe(data, tmp_path / "x.xyz")

    check()


@any_of.few_or_many(200, 3000)
def test_any_bytes_under_any_name_are_structures_or_one_of_our_errors(n, tmp_path):
    (tmp_path / "a").mkdir()
    good = tmp_path / "z.xyz"
    good.write_text("1\n\nH 0 0 0\n")

    @any_of.checked(n)
    @given(any_of.any_files())
    def check(found):
        name, data = found
        file = tmp_path / "a" / name
        file.write_bytes(data)
        source = MixedFiles((str(file), str(good)))
        index = source.scan(scratch=tmp_path / "scratch")
        batches = [source.read(index, 0, len(index), records) for records in (False, True)]
        file.unlink()
        for batch in batches:
            assert np.diff(batch.offsets).tolist() == index.atom_counts.tolist()
            assert batch.numbers[-1] == 1
            assert len(batch) - 1 not in batch.problems
            assert all(name in why for why in batch.problems.values())
        refused = [why for why in index.problems.values() if why.startswith(REFUSED)]
        assert not refused or len(index) == 2

    check()
