"""Structures and labels that belong to rows of a store, asked of its source."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from distdesc.campaign import Campaign
from distdesc.engine.run import run
from distdesc.errors import StoreError
from distdesc.report.reader import Run, open_run


def labelled(seed: int, n: int) -> Atoms:
    rng = np.random.default_rng(seed)
    atoms = Atoms(f"CH{n}", positions=1.5 * np.eye(n + 1, 3) + np.arange(n + 1)[:, None])
    forces = np.round(rng.normal(size=(len(atoms), 3)), 6)
    atoms.calc = SinglePointCalculator(atoms, energy=-1.5 * seed, forces=forces)
    atoms.info["name"] = f"number {seed}"
    return atoms


MOLECULES = [labelled(seed, n) for seed, n in enumerate((2, 4, 1, 3, 5, 2))]
MOLECULES[3].positions[0] = np.nan
UNUSABLE = 3


def made(path: Path, source: dict[str, str], stage: dict[str, str], **more: object) -> Run:
    run(
        Campaign.from_dict(
            {
                "source": source,
                "stage": [stage],
                "store": {"path": str(path), "shard_rows": 2, "chunk_rows": 2},
                "execution": {"executor": "serial"},
                "limits": {"quarantined_fraction": 1.0},
                **more,
            }
        )
    )
    return open_run(path)


DESCRIPTOR = {"descriptor": {"name": "radial_spectrum", "n_max": 2, "elements": ["H", "C"]}}
FINGERPRINT = {"name": "fingerprint"}


def test_structures_of_a_run_come_with_their_labels_and_the_file_that_they_are_in(tmp_path):
    folder = tmp_path / "molecules"
    folder.mkdir()
    write(folder / "a.xyz", MOLECULES[:2])
    write(folder / "b.xyz", MOLECULES[2:])
    found = made(tmp_path / "run.zarr", {"name": "extxyz", "path": f"{folder}/*.xyz"}, FINGERPRINT,
                 **DESCRIPTOR)  # fmt: skip
    for k, molecule in enumerate(MOLECULES):
        atoms = found.source.atoms(k)
        assert atoms.info["name"] == f"number {k}"
        assert atoms.calc.results["energy"] == -1.5 * k
        assert np.array_equal(atoms.calc.results["forces"], molecule.calc.results["forces"])
    assert found.source.place(1) == (str(folder / "a.xyz"), 1)
    assert found.source.place(2) == (str(folder / "b.xyz"), 0)
    for ask in (found.source.atoms, found.source.place):
        for none in (-1, 6):
            with pytest.raises(StoreError, match=rf"structure must be in \[0, 6\), got {none}"):
                ask(none)
    (folder / "b.xyz").write_text("0\n\n")
    with pytest.raises(StoreError, match=r"b\.xyz.*its structures are not those of"):
        open_run(tmp_path / "run.zarr").source.atoms(0)


def test_what_cannot_be_read_is_told_with_its_reason(tmp_path):
    file = tmp_path / "two.xyz"
    write(file, MOLECULES[:1])
    file.write_text(file.read_text() + "1\nProperties=species:S:1:pos:R:3\nH 0 0 nowhere\n")
    found = made(tmp_path / "run.zarr", {"name": "extxyz", "path": str(file)}, FINGERPRINT,
                 **DESCRIPTOR)  # fmt: skip
    assert found.source.records(0, 2)[1] is None
    with pytest.raises(StoreError, match=r"structure 1 cannot be read: .*nowhere"):
        found.source.atoms(1)


def test_the_example_of_labels_pairs_each_row_with_what_belongs_to_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("molecules.xyz", MOLECULES)
    labels = made(Path("structures.zarr"), {"name": "extxyz", "path": "molecules.xyz"},
                  {"name": "ingest"})  # fmt: skip
    found = made(Path("fingerprints.zarr"), {"name": "structure_store", "path": "structures.zarr"},
                 FINGERPRINT, **DESCRIPTOR)  # fmt: skip
    first, offsets = labels.array("first_atom")[:], found.array("offsets")[:-1]
    assert not np.array_equal(first, offsets), "shards have slots: the two are not the same"
    text = (Path(__file__).parents[2] / "docs" / "store.md").read_text()
    (block,) = re.findall("```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, np.ndarray] = {}
    exec(block, names)
    train, rows = names["train"], names["rows"]
    assert np.array_equal(names["energy"], -1.5 * np.arange(6))
    assert set(names["structure"][rows]) == set(np.flatnonzero(train)) - {UNUSABLE}
    assert np.isfinite(names["features"]).all()
    wanted = np.concatenate(
        [MOLECULES[k].calc.results["forces"] for k in np.unique(names["structure"][rows])]
    )
    assert np.array_equal(names["forces"], wanted)
    with pytest.raises(StoreError, match="does not consist of files"):
        found.source.place(0)
