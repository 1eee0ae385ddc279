"""The command line: commands, exit codes, JSON keys, and messages read aloud."""

from __future__ import annotations

import errno
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from support import call, fail

from distdesc.cli import cli
from distdesc.cli.errors import exit_on_errors
from distdesc.engine.executors import EXECUTORS
from distdesc.errors import (
    CampaignError,
    LastingError,
    RunError,
    SourceBusyError,
    SourceError,
    StoreError,
)
from distdesc.report.catalogue import REGISTRIES, catalogue
from distdesc.report.reader import open_run

ROOT = Path(__file__).parent.parent
MOLECULES = str(ROOT / "tests" / "data" / "molecules_60.xyz")
FAST = ["--executor", "serial", "--order", "3", "--cutoff", "4"]


@pytest.fixture(scope="module")
def store(tmp_path_factory, molecules):
    path = tmp_path_factory.mktemp("cli") / "molecules.zarr"
    call("featurise", molecules, "-o", path, *FAST)
    return path


def test_one_line_featurises_a_file(store):
    run = open_run(store)
    assert run.complete
    assert run.n_structures == 60
    assert np.isfinite(run.reader.read("fingerprint", 0, run.n_environments)).all()


def test_flags_print_themselves_as_a_job_that_does_the_same(molecules, tmp_path, store):
    text = call("featurise", molecules, "-o", tmp_path / "b.zarr", *FAST, "--toml")
    assert tomllib.loads(text)["descriptor"]["order"] == 3
    job = tmp_path / "job.toml"
    job.write_text(text)
    call("run", job)
    a, b = open_run(store), open_run(tmp_path / "b.zarr")
    n = a.n_environments
    assert np.array_equal(a.reader.read("fingerprint", 0, n), b.reader.read("fingerprint", 0, n))


def test_ingest_then_featurise_gives_the_same_rows(molecules, tmp_path, store):
    call("ingest", molecules, "-o", tmp_path / "s.zarr", "--executor", "serial")
    call("featurise", tmp_path / "s.zarr", "-o", tmp_path / "f.zarr", *FAST)
    a, b = open_run(store), open_run(tmp_path / "f.zarr")
    n = a.n_environments
    assert np.array_equal(a.reader.read("fingerprint", 0, n), b.reader.read("fingerprint", 0, n))


def test_plan_says_what_would_be_done_and_writes_nothing(tmp_path):
    job = ROOT / "jobs" / "quickstart.toml"
    text = call("plan", job, "-o", tmp_path / "x.zarr")
    assert "450" in text
    data = json.loads(call("plan", job, "-o", tmp_path / "x.zarr", "--json"))
    assert data["structures"] == 450
    assert set(data["stages"][0]) >= {
        "rows", "shards", "shards_done", "shard_rows", "chunk_rows", "memory_bytes", "disk_bytes",
    }  # fmt: skip
    assert not (tmp_path / "x.zarr").exists()


def test_status_and_report_and_verify_speak_json_with_documented_keys(store):
    documented = (ROOT / "docs" / "cli.md").read_text()
    for command in ("status", "report", "verify"):
        data = json.loads(call(command, store, "--json"))
        assert data["path"] == str(store)
        for key in data:
            assert f"`{key}`" in documented, f"{command} --json has the undocumented key {key}"
        for stage in data.get("stages", []):
            for key in stage:
                assert f"`{key}`" in documented, key
    plan = json.loads(call("plan", ROOT / "jobs" / "quickstart.toml", "--json"))
    for key in [*plan, *plan["stages"][0]]:
        assert f"`{key}`" in documented, key


def test_a_reduction_is_fitted_shown_and_documented(molecules, tmp_path):
    path = tmp_path / "reduced.zarr"
    reduction = ["reduction.name=principal_components", "reduction.n_components=3"]
    flags = ["-o", path, *FAST, "--set", reduction[0], "--set", reduction[1]]
    said = CliRunner().invoke(cli, ["featurise", *map(str, [molecules, *flags])]).stderr
    assert "fitting principal_components, pass 2 of 2" in said
    assert "3 components have" in said
    for command in ("status", "report"):
        fit = json.loads(call(command, path, "--json"))["fit"]
        assert fit["fitted"]
        assert len(fit["explained"]) == 3
        documented = (ROOT / "docs" / "cli.md").read_text()
        assert all(f"`{key}`" in documented for key in fit)
    assert "17 → 3 numbers" in call("report", path)
    assert "fit " in call("status", path)
    assert "none" in call("verify", path)
    assert "power_iterations" in call("list", "reductions")


def test_the_plan_of_a_reduction_says_what_it_takes():
    job = ROOT / "jobs" / "qm9-soap-pca.toml"
    assert "environments, in 15 parts, 2 times" in call("plan", job)
    fit = json.loads(call("plan", job, "--json"))["fit"]
    documented = (ROOT / "docs" / "cli.md").read_text()
    assert all(f"`{key}`" in documented for key in fit)
    assert abs(fit["environments"] - 4000) < 20
    assert fit["disk_bytes"] == 8 * fit["parts"] * 5740 * (128 + 10 + 1)
    assert fit["memory_bytes"] < 2**30


def test_tables_are_for_people(store):
    assert "complete" in call("status", store)
    report = call("report", store)
    assert "where the time went" in report
    assert "environments: H" in report
    assert "none" in call("verify", store)
    listed = call("list")
    for word in ("extxyz", "moment_invariants", "fingerprint", *EXECUTORS):
        assert word in listed
    assert "Dask workers: embedded ones, or a running cluster." in listed
    assert "`" not in listed, "a mark of a docstring"
    assert "]_" not in listed
    assert "cutoff" in call("list", "descriptors")


def test_every_key_of_a_job_file_is_listed_with_its_meaning():
    for kind in (*REGISTRIES, "sections"):
        for entry in catalogue(kind, Path("jobs"), EXECUTORS):
            for key, (_, meaning) in entry.keys.items():
                assert meaning.endswith("."), (kind, entry.name, key)
                assert "`" not in meaning
    text = " ".join(call("list", "sections").split())
    assert "structure_seconds 1800.0" in text
    assert "A structure that takes longer, in s, is set aside" in text


@pytest.mark.parametrize("suffix", [".npz", ".parquet", ".xyz"])
def test_export_writes_rows_that_others_read(store, tmp_path, suffix):
    target = tmp_path / f"rows{suffix}"
    call("export", store, "-o", target, "--structures", "3:7")
    run = open_run(store)
    first, last = run.rows_of(3).start, run.rows_of(6).stop
    expected = run.reader.read("fingerprint", first, last)
    if suffix == ".npz":
        with np.load(target) as data:
            found, structure = data["fingerprint"], data["structure"]
    elif suffix == ".parquet":
        table = pytest.importorskip("pyarrow.parquet").read_table(target)
        structure = table["structure"].to_numpy()
        found = np.stack([table.column(k).to_numpy() for k in range(4, table.num_columns)], axis=1)
    else:
        import ase.io

        images = ase.io.read(target, ":")
        found = np.concatenate([a.arrays["fingerprint"] for a in images])
        structure = np.repeat(range(3, 7), [len(a) for a in images])
        assert "qm9_id" in images[0].info
    assert np.allclose(found, expected, rtol=1e-7)
    assert np.array_equal(structure, run.locate(np.arange(first, last))[0])


@pytest.fixture(scope="module")
def rough(tmp_path_factory):
    """Three molecules without symmetry, and a crystal."""
    import ase.io
    from ase.build import bulk, molecule

    images = [molecule(name) for name in ("CH3CH2OH", "CH3CONH2", "HCOOH")]
    for seed, atoms in enumerate(images):
        atoms.rattle(0.05, seed=seed)
    path = tmp_path_factory.mktemp("rough") / "rough.xyz"
    ase.io.write(path, [*images, bulk("C")], format="extxyz")
    return path


@pytest.fixture(scope="module")
def found(tmp_path_factory, rough):
    path = tmp_path_factory.mktemp("found") / "found.zarr"
    call("decode", rough, "--order", 5, "-o", path)
    return path


def test_decode_prints_what_came_back_and_why_not(rough, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = call("decode", rough, "--order", 5, "--figure", "found.png")
    for words in ("from 78 numbers each", "3 of 3 (100 %)", "called exact, but wrong  none",
                  "structure is periodic"):  # fmt: skip
        assert words in text
    assert (tmp_path / "found.png").read_bytes()[1:4] == b"PNG"
    assert [f.name for f in tmp_path.iterdir()] == ["found.png"], "no store is left behind"


def test_decode_speaks_json_with_documented_keys(rough, found):
    text = CliRunner().invoke(cli, ["decode", str(rough), "--order", "5", "--json"]).stdout
    data = json.loads(text)
    assert [s["index"] for s in data["structures"]] == [0, 1, 2]
    assert all(s["species_ok"] and s["max_error_angstrom"] < 1e-6 for s in data["structures"])
    assert [q["structure"] for q in data["quarantined"]] == [3]
    assert (data["total"]["species_ok"], data["n_features"]) == (3, 78)
    report = json.loads(call("report", found, "--json"))
    assert report["decoding"]["total"]["exact"] == 3
    documented = (ROOT / "docs" / "cli.md").read_text()
    assert [(g["point_group"], g["exact"]) for g in data["by_point_group"]] == [("C1", 3)]
    for keys in (data, data["total"], data["structures"][0], data["by_size"][0]):
        for key in keys:
            assert f"`{key}`" in documented, key
    assert set(report["decoding"]) | {"structures", "quarantined"} == set(data)


def test_stored_fingerprints_are_decoded_as_they_are(rough, tmp_path):
    path, flags = tmp_path / "whole.zarr", ["--order", 5, "--invariants", "full"]
    whole = ["--set", "stage.per=whole", "--set", "descriptor.smoothing=0.0"]
    lenient = ["--set", "limits.quarantined_fraction=1.0", "--executor", "serial"]
    call("featurise", rough, "-o", path, *flags, *whole, *lenient)
    text = call("decode", path, "--executor", "serial")
    for words in ("from 78 numbers each", "3 of 3 (100 %)", "structure is periodic"):
        assert words in text
    data = tomllib.loads(call("decode", path, "--toml"))
    assert data["source"] == {"name": "fingerprint_store", "path": str(path)}
    assert (data["descriptor"]["order"], data["stage"][0]["per"]) == (5, "whole")
    environments = tmp_path / "environments.zarr"
    call("featurise", rough, "-o", environments, *flags, *lenient)
    stage = tomllib.loads(call("decode", environments, "--toml"))["stage"][0]
    assert stage["per"] == "environment"


def test_a_store_that_cannot_be_decoded_says_why(capsys, store, found, molecules, tmp_path):
    pooled, peers = tmp_path / "pooled.zarr", tmp_path / "peers.zarr"
    call("featurise", molecules, "-o", pooled, *FAST, "--set", "stage.per=structure")
    call("featurise", molecules, "-o", peers, "--executor", "serial", "--descriptor",
         "power_spectrum", "--elements", "H,C,N,O,F", "--set", "descriptor.n_max=2",
         "--set", "descriptor.l_max=2")  # fmt: skip
    for arguments, code, message in (
        ([found], 3, "has no fingerprints"),
        ([store, "--order", "3"], 2, "--order must be left out for stored fingerprints"),
        ([store, "--per", "whole"], 2, "--per must be left out for stored fingerprints"),
        ([store, "--second"], 2, "second must be false for stored fingerprints"),
        ([pooled], 2, 'got pooled "structure"'),
        ([peers], 2, "descriptor must be moment_invariants to decode, got PowerSpectrum"),
    ):
        failed, text = fail(capsys, "decode", *arguments)
        assert (failed, message in text) == (code, True), text


def test_environments_of_a_crystal_are_decoded(tmp_path):
    import ase.io
    from ase.build import bulk

    atoms = bulk("NaCl", "rocksalt", 5.6, cubic=True)
    atoms.rattle(0.1, seed=3)
    ase.io.write(tmp_path / "salt.xyz", atoms)
    store = tmp_path / "salt.zarr"
    text = call("decode", tmp_path / "salt.xyz", "--per", "environment", "--cutoff", 3.6,
                "--elements", "Na,Cl", "--order", 5, "-o", store)  # fmt: skip
    assert "8 of 8 (100 %)" in text
    assert "decoded environments, from 78 numbers each" in text
    assert "8 rows" in call("export", store, "-o", tmp_path / "found.xyz")
    found = ase.io.read(tmp_path / "found.xyz", ":")
    assert [a.info["atom"] for a in found] == list(range(8))
    assert [len(a) for a in found] == [6] * 8
    for k, neighbours in enumerate(found):
        there = np.sort(atoms.get_distances(k, range(8), mic=True))
        nearest = np.linalg.norm(neighbours.positions, axis=1).min()
        assert abs(nearest - there[1]) < 1e-5, "about the centre, in Å"


def test_decode_prints_itself_as_a_job(rough, tmp_path):
    text = call("decode", rough, "--order", 5, "--noise", 1e-9, "--elements", "H,C", "--toml")
    data = tomllib.loads(text)
    assert data["stage"][0]["noise"] == 1e-9
    assert data["descriptor"]["elements"] == ["H", "C"]
    assert data["execution"]["executor"] == "serial"
    asked = tomllib.loads(call("decode", rough, "--workers", 2, "--toml"))["execution"]
    assert (asked["executor"], asked["workers"]) == ("dask", 2)


@pytest.mark.parametrize("suffix", [".xyz", ".db"])
def test_decoded_structures_are_exported(found, tmp_path, suffix):
    import ase.db
    import ase.io

    target = tmp_path / f"found{suffix}"

    def written():
        if suffix == ".xyz":
            images = ase.io.read(target, ":")
            return images, [a.info for a in images]
        with ase.db.connect(target) as database:  # or ASE leaves its connections open
            rows = list(database.select())
        return [row.toatoms() for row in rows], [row.key_value_pairs for row in rows]

    assert "3 rows" in call("export", found, "-o", target)
    images, told = written()
    assert [str(a.symbols.formula.convert("hill")) for a in images] == [
        "C2H6O", "C2H5NO", "CH2O2",
    ]  # fmt: skip
    assert [t["structure"] for t in told] == [0, 1, 2]
    assert {t["verdict"] for t in told} == {"exact"}
    assert abs(images[2].get_distance(*np.argsort(-images[2].numbers)[:2]) - 2.3) < 0.2
    call("export", found, "-o", target, "--structures", "1:2")
    assert len(written()[0]) == 1


def test_a_report_of_decoding_has_a_table_and_a_figure(found, tmp_path):
    text = call("report", found, "--figure", tmp_path / "found.png")
    assert "and species right" in text
    assert "match" in text, "where the time went"
    assert (tmp_path / "found.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["decode", "nothing.xyz"], 3, "nothing.xyz"),
        (["decode", MOLECULES, "--order", "2"], 2, "order must be at least 3"),
        (["decode", MOLECULES, "--set", "stage.per=atom"], 2, "per must be one of"),
        (["decode", MOLECULES, "--per", "atom"], 2, "'atom' is not one of 'whole'"),
        (["decode", MOLECULES, "--elements", "H,Xx"], 2, 'chemical symbols, got "Xx"'),
        (["decode", MOLECULES, "--noise", "0.5"], 2, "noise must be from 0 to 0.1, got 0.5"),
        (["decode", MOLECULES, "--second", "--set", "descriptor.species=none"], 2, "second needs"),
        (["decode", __file__], 3, "there was nothing to decode"),
        (["decode", __file__, "--json"], 3, "there was nothing to decode"),
        (["run", "nothing.toml"], 2, "job nothing.toml cannot be read: No such file"),
        (["featurise", "nothing.xyz", "-o", "x.zarr"], 3, "nothing.xyz"),
        (["status", "nothing.zarr"], 4, "nothing.zarr is not a distdesc store"),
        (["status", __file__], 4, "test_cli.py is not a distdesc store"),
        (["report", "x.zarr", "--features", "-1"], 2, "-1 is not in the range x>=0"),
        (["decode", MOLECULES, "--figure", "nowhere/x.png"], 2, "figure must be in a folder that"),
        (["featurise"], 2, "Missing argument 'SOURCE'"),
        (["frobnicate"], 2, "No such command 'frobnicate'"),
        (["verify", "x.zarr", "--recompute", "-1"], 2, "-1 is not in the range x>=0"),
        (["featurise", "x.xyz", "-o", "x", "--set", "execution.workers=two"], 2, "a whole number"),
        (["featurise", "x.xyz", "-o", "x", "--set", "nonsense"], 2, "SECTION.KEY=VALUE"),
        (["featurise", "x.xyz", "-o", "x", "--executor", "spark"], 2, 'executor "spark"'),
        (["featurise", MOLECULES, "-o", "/proc/x.zarr"], 5, "/proc/x.zarr"),
        (
            ["featurise", MOLECULES, "-o", "x", *FAST, "--set", "execution.memory=0.01"],
            6,
            "projected to need",
        ),
    ],
)
def test_errors_are_one_message_and_an_exit_code(
    capsys, arguments, code, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    found, text = fail(capsys, *arguments)
    assert (found, message in text) == (code, True), text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CampaignError("x"), 2), (SourceError("x"), 3), (StoreError("x"), 4),
        (RunError("x"), 5), (SourceBusyError("x"), 5), (OSError(errno.ENOSPC, "disk full"), 5),
        (LastingError("x"), 6), (OSError(errno.EACCES, "Permission denied"), 6),
        (OSError(errno.EROFS, "Read-only file system"), 6), (KeyboardInterrupt(), 130),
    ],
    ids=repr,
)  # fmt: skip
def test_exit_codes_say_whether_another_try_may_help(error, code):
    with pytest.raises(SystemExit) as found, exit_on_errors():
        raise error
    assert found.value.code == code


def test_names_with_brackets_are_shown_as_they_are(molecules, tmp_path):
    path = tmp_path / "[/x] [bold]"
    path.mkdir(parents=True)
    target = path / "[old].zarr"
    text = call("featurise", molecules, "-o", target, *FAST)
    assert f"next: distdesc report '{target}'" in text  # as a shell takes it
    assert "[old].zarr" in call("status", target).replace("\n", "")
    call("report", target)
    call("verify", target)


def test_what_was_not_decoded_has_no_figure_and_no_such_export(capsys, store, found, tmp_path):
    assert fail(capsys, "report", store, "--figure", tmp_path / "x.png")[0] == 4
    code, text = fail(capsys, "report", found, "--figure", tmp_path / "x.abc")
    assert (code, "figure must end in" in text) == (2, True)
    code, text = fail(capsys, "export", found, "-o", tmp_path / "x.npz")
    assert (code, "output must end in .xyz, .extxyz, .db" in text) == (2, True)
    code, text = fail(capsys, "export", found, "-o", tmp_path / "nowhere" / "x.xyz")
    assert (code, "output must be in a folder that exists" in text) == (2, True)


def test_a_damaged_store_makes_verify_exit_with_4(store, tmp_path, capsys):
    import shutil

    copy = tmp_path / "copy.zarr"
    shutil.copytree(store, copy)
    next((copy / "fingerprint" / "c").rglob("0/0")).unlink()
    code, _ = fail(capsys, "verify", copy)
    assert code == 4


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_has_help_and_is_in_the_docs(name):
    text = call(name, "--help")
    assert len(text.splitlines()) > 5
    assert f"distdesc {name}" in (ROOT / "docs" / "cli.md").read_text()
    assert f"distdesc {name}" in (ROOT / "README.md").read_text()


def test_an_export_of_an_unfinished_store_says_that_it_is(molecules, tmp_path):
    path = tmp_path / "half.zarr"
    job = tmp_path / "job.toml"
    job.write_text(call("featurise", molecules, "-o", path, *FAST, "--toml"))
    rows = ("--set", "store.shard_rows=128", "--set", "store.chunk_rows=64")
    call("run", job, *rows, "--shards", "1/2")
    words = "half.zarr is not complete: what is not computed yet has no values"
    result = CliRunner().invoke(cli, ["export", str(path), "-o", str(tmp_path / "half.npz")])
    assert words in result.stderr
    with np.load(tmp_path / "half.npz") as found:
        assert np.array_equal(np.isnan(found["fingerprint"]).all(axis=1), found["status"] == -1)
    call("run", job, *rows)
    result = CliRunner().invoke(cli, ["export", str(path), "-o", str(tmp_path / "whole.npz")])
    assert (result.exit_code, result.stderr) == (0, "")
