"""Campaigns: a file in, a frozen description out, and errors that say what to write."""

from __future__ import annotations

import tomllib

import pytest

from distdesc.campaign import Campaign, digest
from distdesc.errors import CampaignError
from distdesc.job import overridden

JOB = """
question = "q"
[source]
name = "extxyz"
path = "sub/molecules.xyz"
[descriptor]
name = "moment_invariants"
order = 3
[[stage]]
name = "fingerprint"
[store]
path = "out.zarr"
"""


def write(tmp_path, text):
    file = tmp_path / "job.toml"
    file.write_text(text)
    return file


def test_a_job_becomes_a_campaign_and_back(tmp_path):
    campaign = Campaign.from_toml(write(tmp_path, JOB))
    assert campaign.question == "q"
    assert campaign.stage_names == ("fingerprint",)
    again = Campaign.from_dict(tomllib.loads(campaign.to_toml()))
    assert again.to_dict() == campaign.to_dict()
    assert digest(again.identity()) == digest(campaign.identity())


def test_source_paths_are_relative_to_the_job_and_stores_to_the_current_directory(
    tmp_path, monkeypatch
):
    monkeypatch.chdir("/")
    campaign = Campaign.from_toml(write(tmp_path, JOB))
    assert campaign.source.path == str(tmp_path / "sub" / "molecules.xyz")
    assert str(campaign.path) == "/out.zarr"
    monkeypatch.setenv("HOME", str(tmp_path))
    at_home = Campaign.from_toml(write(tmp_path, JOB), {"store.path": "~/out.zarr"})
    assert at_home.path == tmp_path / "out.zarr"


def test_variables_are_replaced_and_may_have_defaults(tmp_path, monkeypatch):
    monkeypatch.setenv("PLACE", "/data")
    monkeypatch.delenv("RUNS", raising=False)
    text = JOB.replace("sub/", "${PLACE}/").replace("out.zarr", "${RUNS:-here}/out.zarr")
    campaign = Campaign.from_toml(write(tmp_path, text))
    assert campaign.source.path == "/data/molecules.xyz"
    assert campaign.store.path == "here/out.zarr"
    monkeypatch.delenv("PLACE")
    with pytest.raises(CampaignError, match=r"\$\{PLACE\} is not set in the environment"):
        Campaign.from_toml(write(tmp_path, text))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[store]", "[stor]", r"\[stor\] is unknown; sections: question, source"),
        ('[store]\npath = "out.zarr"', "", r"\[store\] is missing"),
        ('"extxyz"', '"extxzy"', r'\[source\] name "extxzy" is unknown; one of: ase_any, ase_db'),
        ("order = 3", "ordr = 3", r'\[descriptor\] key "ordr" is unknown for moment_invariants'),
        ("order = 3", "order = 0", r"\[descriptor\] order must"),
        ('path = "sub/molecules.xyz"', "", r'\[source\] key "path" is required for extxyz'),
        ("[[stage]]", "[[stage]]\nspeed = 1", r'\[stage\] key "speed" is unknown'),
        ("[store]", "[limits]\nattempts = 0\n[store]", r"\[limits\] attempts must"),
        ("[store]", "[execution]\nworkers = -1\n[store]", r"\[execution\] workers must be >= 0"),
        ("[store]", "[store]\nshard_rows = 10\nchunk_rows = 3", r"multiple of chunk_rows, got 10"),
        ('[descriptor]\nname = "moment_invariants"\norder = 3', "", r"\[descriptor\] is missing"),
        ("[store]", "[store", r"is not valid TOML"),
        ("sub/molecules.xyz", "postgresql://me:secret@host/db", r"must not hold a password"),
    ],
)
def test_a_wrong_job_is_refused_with_section_key_and_what_is_accepted(tmp_path, old, new, message):
    assert old in JOB
    with pytest.raises(CampaignError, match=message) as caught:
        Campaign.from_toml(write(tmp_path, JOB.replace(old, new)))
    assert "secret" not in str(caught.value)


def test_a_missing_job_is_named(tmp_path):
    with pytest.raises(CampaignError, match=r"nothing\.toml cannot be read: No such file"):
        Campaign.from_toml(tmp_path / "nothing.toml")


def test_how_a_campaign_is_run_does_not_change_its_identity(tmp_path):
    plain = Campaign.from_toml(write(tmp_path, JOB))
    changed = {
        "execution.workers": 7,
        "execution.executor": "serial",
        "limits.attempts": 9,
        "limits.quarantined_fraction": 0.5,
        "store.path": "elsewhere.zarr",
    }
    for key, value in changed.items():
        other = Campaign.from_toml(write(tmp_path, JOB), {key: value})
        assert digest(other.identity()) == digest(plain.identity()), key
    for key, value in {
        "descriptor.order": 4,
        "limits.min_distance": 0.5,
        "stage.dtype": "float32",
    }.items():
        other = Campaign.from_toml(write(tmp_path, JOB), {key: value})
        assert digest(other.identity()) != digest(plain.identity()), key


def test_overrides_leave_the_original_alone():
    data = {"stage": [{"name": "fingerprint"}], "store": {"path": "a"}}
    found = overridden(data, {"stage.dtype": "float32", "store.path": "b", "limits.attempts": 1})
    assert found == {
        "stage": [{"name": "fingerprint", "dtype": "float32"}],
        "store": {"path": "b"},
        "limits": {"attempts": 1},
    }
    assert data == {"stage": [{"name": "fingerprint"}], "store": {"path": "a"}}
