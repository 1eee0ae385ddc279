"""The command that looks for singular points: table, JSON, figures, export, refusals."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write
from support import call, fail

import distdesc
from distdesc.report.reader import open_run
from distdesc.report.sensitivity import WITHIN
from distdesc.report.singular import summarise_singular
from distdesc.report.singular_ends import seen_least
from distdesc.report.singular_records import NAMES, singular_rows
from distdesc.report.singular_rows import all_rows, blocks
from distdesc.singular.point import Point
from distdesc.singular.sight import Sight

ROOT = Path(__file__).parent.parent.parent
BLIND = ROOT / "jobs" / "data" / "blind-spots.xyz"
METHANE = ROOT / "jobs" / "data" / "methane.xyz"
DOCUMENTED = (ROOT / "docs" / "cli.md").read_text()
SMALL = ("--n-max", 4, "--l-max", 6)
PER_ROW = {
    "structure", "atom", "point_group", "nulls", "symmetry_nulls", "kind", "s_min", "s_max",
    "d_est_angstrom",
}  # fmt: skip


def apart(descriptor, first, second) -> float:
    """Difference of the fingerprints of two first atoms, relative to their length."""
    prints = [descriptor.compute(distdesc.environments(a, 5.0).part(0, 1))
              for a in (first, second)]  # fmt: skip
    return float(np.linalg.norm(prints[0] - prints[1]) / np.linalg.norm(prints[0]))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("singular") / "blind.zarr"
    call("singular", BLIND, *SMALL, "--flag-distance", 0.02, "-o", path)
    return path


@pytest.fixture(scope="module")
def rows(store):
    found = json.loads(call("report", store, "--json"))["singular"]
    assert found["rows"] == 31
    return found


def centres(data) -> dict[int, dict]:
    return {row["structure"]: row for row in data["results"] if row["atom"] == 0}


def test_json_tells_of_every_environment_what_it_hides_and_why(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = json.loads(call("singular", BLIND, *SMALL, "--json"))
    assert len(data["results"]) == 31
    assert all(set(row) >= PER_ROW for row in data["results"])
    told = centres(data)
    assert [told[k]["kind"] for k in range(6)] == [
        "symmetry", "symmetry", "incompleteness", "incompleteness", "truncation", "regular",
    ]  # fmt: skip
    assert [told[k]["point_group"] for k in range(6)] == ["Td", "Cs", "C1", "C1", "C1", "C1"]
    # the equal-shell rule: 2 n - 3 - l_max and n - 1 - l_max, of six fluorines with l_max 6
    assert [told[k]["nulls"] for k in range(6)] == [8, 1, 1, 0, 3, 0]
    assert [told[k]["symmetry_nulls"] for k in range(6)] == [8, 1, 0, 0, 0, 0]
    paired = next(r for r in data["results"] if (r["structure"], r["atom"]) == (2, 1))
    assert paired["pair_misfit_angstrom"] > 0.01
    assert 0 < told[3]["distance_angstrom"] < 0.02
    assert told[5]["s_min"] == told[5]["s_min_symmetric"] > 1e-3 * told[5]["s_max"]
    assert not list(tmp_path.iterdir()), "no store is left behind"
    for keys in (data, data["results"][0]):
        assert not [key for key in keys if f"`{key}`" not in DOCUMENTED]


def test_the_census_counts_every_row_once(rows):
    for table in (rows["by_element"], rows["by_point_group"]):
        for kind, n in rows["kinds"].items():
            assert sum(line.get(kind, 0) for line in table.values()) == n
    assert sum(rows["kinds"].values()) == rows["rows"]
    assert rows["by_element"]["S"] == {"truncation": 1}
    assert rows["by_point_group"]["Td"] == {"symmetry": 1}
    assert rows["beyond_symmetry"] == 3
    assert rows["pairs"] >= 1


def test_a_distance_is_that_of_the_point_found_or_else_the_estimate(store):
    run = open_run(store)
    found = all_rows(run, "singular", NAMES)
    names = ("distance", "d_est")
    exact, guess = (np.array([0.1, np.inf, np.nan, np.nan]), np.array([0.2, 0.3, 0.4, np.inf]))
    four = found.take(np.arange(4))
    made = replace(four, columns={**four.columns, **dict(zip(names, (exact, guess), strict=True))})
    assert np.array_equal(made.distances, [0.1, 0.3, 0.4, np.nan], equal_nan=True)


def test_both_ends_are_listed_in_order_and_symmetry_is_not_blindness(rows, store):
    low, high = rows["blindest"], rows["most_sensitive"]
    assert [(r["structure"], r["atom"]) for r in low[:3]] == [(2, 0), (2, 1), (4, 0)]
    everything = summarise_singular(open_run(store), most=31)
    assert {r["kind"] for r in everything.blindest} == {
        "regular", "symmetry", "truncation", "incompleteness",
    }, "what else there is to see of symmetric environments counts"  # fmt: skip
    assert [r["seen_least"] for r in high] == sorted((r["seen_least"] for r in high), reverse=True)
    assert all(1e-3 < r["seen_least"] < 1 for r in high), "a single motion is no merit"
    listed = [{(r["structure"], r["atom"]) for r in end} for end in (low, high)]
    assert not listed[0] & listed[1], "what is seen least is not seen best"
    hydrogens = [r for r in everything.blindest if (r["structure"], r["element"]) == (0, "H")]
    assert [r["alike"] for r in hydrogens] == [4], "of what is the same, one is listed"
    assert sum(r["alike"] for r in everything.blindest) == 30, "one has a single motion"


def test_what_a_symmetric_place_nearby_explains_is_not_listed(store):
    (block,) = blocks(open_run(store), "singular", NAMES)
    symmetric = np.flatnonzero((block.kinds == "symmetry") & (block.seen_least < 0.9))[:1]
    assert seen_least([block.take(symmetric)], 5).row.tolist() == symmetric.tolist()
    near = block.take(symmetric)
    near.columns["flagged"] = np.ones_like(near["flagged"])
    assert not len(seen_least([near], 5))
    apart = [block.take(slice(0, 3)), block.take(slice(3, None))]
    at_once, bit_by_bit = (
        seen_least([block], 9),
        seen_least([seen_least(apart[:1], 9), apart[1]], 9),
    )
    assert at_once.row.tolist() == bit_by_bit.row.tolist()
    assert at_once["alike"].tolist() == bit_by_bit["alike"].tolist()


def test_a_report_is_for_people_and_draws(store, tmp_path):
    text = call("report", store, "--figure", tmp_path / "blind.png")
    for words in ("environments by kind", "incompleteness", "degenerate pairs", "by point group",
                  "seen least", "seen best", "where the time went"):  # fmt: skip
        assert words in text
    assert (tmp_path / "blind.png").stat().st_size > 10_000


def test_a_figure_has_a_strip_of_its_own_for_every_kind(store, tmp_path):
    call("report", store, "--figure", tmp_path / "blind.svg")
    drawing = (tmp_path / "blind.svg").read_text()
    for kind in ("regular", "symmetry", "truncation", "incompleteness"):
        assert f"<!-- {kind} -->" in drawing or f">{kind}<" in drawing
    assert "none looked for" in drawing, "regular environments have no singular point"


def test_a_figure_says_where_no_motion_is_left_and_where_no_point_was_looked_for(tmp_path):
    cube = [[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    lines = [f"H {x} {y} {z}" for x, y, z in cube]
    (tmp_path / "cube.xyz").write_text("\n".join(["8", "", *lines, "1", "", "He 0 0 0", ""]))
    call("singular", tmp_path / "cube.xyz", "--executor", "serial", "--n-max", 3, "--l-max", 4,
         "--figure", tmp_path / "cube.svg")  # fmt: skip
    drawing = (tmp_path / "cube.svg").read_text()
    assert "no motion left to see" in drawing, "helium is alone"
    assert "none looked for" not in drawing


def test_export_has_hidden_motions_and_pairs_that_ase_reads(store, tmp_path):
    import ase.io

    call("export", store, "-o", tmp_path / "blind.xyz")
    frames = ase.io.read(tmp_path / "blind.xyz", ":")
    names = ("environment", "singular_point", "pair_first", "pair_second")
    by_kind = {name: [a for a in frames if a.info["frame"] == name] for name in names}
    assert all(by_kind.values())
    spectrum = distdesc.descriptor(
        "power_spectrum", n_max=4, l_max=6, elements=["B", "Br", "C", "Cl", "F", "H", "S"]
    )
    first = next(a for a in by_kind["environment"] if a.info["structure"] == 2)
    assert np.array_equal(first.positions[0], np.zeros(3))
    motion = first.arrays["null_motion"]
    assert motion.shape == (5, 3)
    assert not motion[0].any()
    assert abs(np.linalg.norm(motion) - 1) < 1e-6
    around = Point(first.positions[1:], first.numbers[1:].astype(np.int32), 6)
    sight = Sight(spectrum, around)
    jacobian = sight.jacobians(around.vectors.reshape(1, -1))[0]
    seen = np.linalg.norm(np.einsum("cf,c->f", jacobian.reshape(12, -1), motion[1:].ravel()))
    assert seen < 1e-5, "it is not seen"
    pair = [next(a for a in by_kind[f"pair_{k}"] if a.info["structure"] == 2)
            for k in ("first", "second")]  # fmt: skip
    three = distdesc.descriptor(
        "bispectrum", n_max=3, l_max=3, elements=["B", "Br", "C", "Cl", "F", "H", "S"]
    )
    assert apart(spectrum, *pair) < 1e-6
    assert apart(three, *pair) > 1e-4, "and yet they differ"


def test_export_takes_structures_and_refuses_what_was_not_looked_at(store, tmp_path, capsys):
    import ase.io

    call("export", store, "-o", tmp_path / "one.xyz", "--structures", "4:5")
    assert {a.info["structure"] for a in ase.io.read(tmp_path / "one.xyz", ":")} == {4}
    screened = tmp_path / "screened.zarr"
    call("singular", METHANE, *SMALL, "--screen", "-o", screened)
    assert fail(capsys, "export", screened, "-o", tmp_path / "a.xyz")[0] == 4
    code, message = fail(capsys, "export", store, "-o", tmp_path / "a.npz")
    assert (code, "must end in .xyz, .extxyz for singular points, got .npz" in message) == (2, True)


def test_nothing_is_exported_and_said_so_where_nothing_is_flagged(store, tmp_path, capsys):
    code, message = fail(capsys, "export", store, "-o", tmp_path / "a.xyz", "--structures", "0:2")
    assert code == 4
    assert "no flagged environment was found in structures 0:2" in message
    assert not list(tmp_path.iterdir())


def test_whole_structures_have_the_nulls_of_their_symmetry():
    for of, nulls in (("sum", 8), ("stack", 2)):
        data = json.loads(call("singular", METHANE, *SMALL, "--map", of, "--json"))
        (row,) = data["results"]
        assert (row["nulls"], row["symmetry_nulls"], row["atom"]) == (nulls, nulls, None)
    assert "fingerprint summed over their atoms" in call("singular", METHANE, "--map", "sum")


def test_flags_print_themselves_with_the_elements_of_the_file():
    data = tomllib.loads(call("singular", BLIND, "--sigma", 0.2, "--toml"))
    assert data["descriptor"]["elements"] == ["H", "B", "C", "F", "S", "Cl", "Br"]
    assert data["descriptor"]["sigma"] == 0.2
    assert data["stage"][0]["classify"] is True
    screened = tomllib.loads(call("singular", BLIND, "--screen", "--toml"))
    assert not screened["stage"][0].get("classify")


def test_what_is_flagged_and_not_followed_is_said_to_be(tmp_path):
    data = json.loads(call("singular", BLIND, *SMALL, "--screen", "--json"))
    told = centres(data)
    assert [told[k]["kind"] for k in (2, 3, 4)] == [None] * 3
    assert data["kinds"]["flagged"] == data["flagged"] >= 3
    assert told[3]["flagged"]
    assert 1e-4 < told[3]["d_est_angstrom"] < 0.02


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    (folder / "single.xyz").write_text("1\n\nHe 0 0 0\n")
    (folder / "some.xyz").write_text("1\n\nHe 0 0 0\n2\n\nH 0 0 0\nH 0 0 0.74\n")
    (folder / "empty.xyz").write_text("")
    write(folder / "silicon.xyz", bulk("Si", cubic=True))
    write(folder / "copper.xyz", bulk("Cu"))
    write(folder / "chain.xyz", Atoms("C2", [[0, 0, 0], [0, 0.5, 1.2]], cell=[9, 9, 2.4],
                                      pbc=[False, False, True]))  # fmt: skip
    (folder / "close.xyz").write_text("2\n\nH 0 0 0\nH 0 0 0\n")
    return folder


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["single.xyz"], 3, "single atoms have no singular points"),
        (["copper.xyz", "--map", "stack"], 3, "no structure of copper.xyz has motions other"),
        (["empty.xyz"], 3, "empty.xyz is empty"),
        (["nothing.xyz"], 3, "nothing.xyz does not exist"),
        (["close.xyz"], 3, "were set aside"),
        (["some.xyz", "--map", "both"], 2, 'must be one of env, sum, stack, got "both"'),
        (["some.xyz", "--descriptor", "soap"], 2, 'name "soap" is unknown; one of: bispectrum'),
        (["some.xyz", "--n-max", "0"], 2, "n_max must be an integer from 1 to 16, got 0"),
        (["some.xyz", "--order", "5"], 2, 'key "order" is unknown for power_spectrum'),
        (["some.xyz", "--elements", "H,Xx"], 2, 'chemical symbols, got "Xx"'),
        (["some.xyz", "--figure", "a.foo"], 2, "figure must end in"),
    ],
)
def test_refusals_say_what_is_wrong(files, monkeypatch, capsys, arguments, code, message):
    monkeypatch.chdir(files)
    found, text = fail(capsys, "singular", *arguments)
    assert (found, message in text) == (code, True), text


def test_single_atoms_among_others_have_nothing_to_see(files):
    data = json.loads(call("singular", files / "some.xyz", *SMALL, "--json"))
    assert data["alone"] == 1
    alone, bound, _ = data["results"]
    assert (alone["s_min"], alone["seen_least"], alone["nulls"]) == (None, None, 0)
    assert (bound["point_group"], bound["nulls"], bound["kind"]) == ("C*v", 0, "regular")
    assert data["blindest"] == data["most_sensitive"] == []


def test_a_crystal_all_of_whose_motions_break_its_symmetry_is_looked_at_all_the_same(files):
    data = json.loads(call("singular", files / "silicon.xyz", *SMALL, "--map", "sum", "--json"))
    assert (data["alone"], data["kinds"]) == (0, {"symmetry": 1})
    (row,) = data["results"]
    assert (row["nulls"], row["symmetry_nulls"], row["seen_least"]) == (21, 21, None)
    text = call("singular", files / "silicon.xyz", *SMALL, "--map", "sum")
    assert "nothing to see" not in text


def test_a_figure_without_a_motion_that_is_seen_is_refused(files, capsys):
    code, message = fail(capsys, "singular", files / "silicon.xyz", *SMALL, "--map", "sum",
                         "--figure", files / "silicon.png")  # fmt: skip
    assert (code != 0, "no structure shows a motion" in message) == (True, True), message
    assert "/tmp" not in message, "nobody has heard of that store"


def test_chains_have_the_point_group_of_their_rod_group(files):
    text = call("singular", files / "chain.xyz", *SMALL, "--map", "stack")
    assert ["D2h", "1", "1"] in [line.split() for line in text.splitlines()]


SCAN = """
question = "How large must it be?"
[source]
name = "extxyz"
path = "{source}"
[descriptor]
name = "power_spectrum"
n_max = 4
l_max = 4
elements = ["H", "B", "C", "F", "S", "Cl", "Br"]
[[stage]]
name = "sensitivity"
grid = {grid}
[stage.vary]
n_max = [1, 2]
{more}
[store]
path = "{store}"
[execution]
executor = "serial"
"""


def scanned(folder: Path, more: str, grid: str = "false") -> tuple[dict, str]:
    job, store = folder / "scan.toml", folder / "scan.zarr"
    job.write_text(SCAN.format(source=BLIND, store=store, more=more, grid=grid))
    call("run", job)
    text = call("report", store, "--figure", folder / "scan.png")
    assert (folder / "scan.png").stat().st_size > 10_000
    return json.loads(call("report", store, "--json"))["sensitivity"], text


def test_a_scan_says_which_value_is_enough(tmp_path):
    found, text = scanned(tmp_path, 'l_max = [0, 6, 9]\nradial = ["gto", "zernike"]')
    lines = {line["label"]: line for line in found["configurations"]}
    assert list(lines) == [
        "as given", "n_max 1", "n_max 2", "l_max 0", "l_max 6", "l_max 9", "radial zernike",
    ]  # fmt: skip
    assert found["rows"] == 31
    stored = open_run(tmp_path / "scan.zarr").array("sensitivity")[:, 4]
    quantiles = lines["l_max 6"]["quantiles"]
    assert quantiles["smallest"] == np.nanmin(stored)
    assert quantiles["median"] == np.nanmedian(stored)
    assert lines["l_max 0"]["rows_with_extra_nulls"] > lines["l_max 9"]["rows_with_extra_nulls"]
    verdicts = {v["key"]: v for v in found["verdicts"]}
    assert verdicts["l_max"]["values"] == [0, 4, 6, 9], "the given one is among them"
    assert verdicts["l_max"]["enough"] is None, "blind by incompleteness, whatever the basis"
    assert "none is enough" in verdicts["l_max"]["words"]
    assert not verdicts["radial"]["ordered"]
    assert "extra nulls" in text
    nested = {**found["configurations"][0], **found["verdicts"][0], **quantiles}
    assert not [key for key in [*found, *nested] if f"`{key}`" not in DOCUMENTED]


def test_enough_is_the_smallest_value_that_is_near_the_largest():
    from distdesc.report.sensitivity import Line, _verdicts

    def line(l_max, low, extra=0):
        changes = {} if l_max == 6 else {"l_max": l_max}
        quantiles = {"smallest": low / 2, "q01": low, "q10": 2 * low, "median": 1.0}
        return Line(f"l_max {l_max}", changes, 10, quantiles, extra)

    lines = [line(6, 0.4), line(2, 1.0, extra=1), line(4, 0.99 / WITHIN), line(8, 1.0)]
    (verdict,) = _verdicts(lines, {"name": "power_spectrum", "l_max": 6})
    assert (verdict.enough, verdict.words) == (8, "8, the largest tried, may be enough; larger "
                                               "ones would tell")  # fmt: skip
    lines[0] = line(6, 1.01 / WITHIN)
    (verdict,) = _verdicts(lines, {"name": "power_spectrum", "l_max": 6})
    assert (verdict.enough, verdict.words) == (6, "enough from 6")
    empty = [replace(one, quantiles=dict.fromkeys(one.quantiles)) for one in lines]
    (verdict,) = _verdicts(empty, {"name": "power_spectrum", "l_max": 6})
    assert (verdict.enough, "no environment has motions to see" in verdict.words) == (None, True)


def test_a_grid_is_judged_by_the_number_of_features(tmp_path):
    found, text = scanned(tmp_path, "l_max = [2, 3]", grid="true")
    (verdict,) = found["verdicts"]
    assert verdict["key"] == "combination"
    sizes = [found["configurations"][k]["n_features"] for k in verdict["lines"]]
    assert sizes == sorted(sizes)
    assert len(sizes) == 5
    assert "n_max 2, l_max 3" in text


def all_starts(store) -> list[dict]:
    return list(singular_rows(open_run(store)))


def test_a_search_is_reported_by_the_points_it_found(tmp_path):
    job = tmp_path / "search.toml"
    text = (ROOT / "jobs" / "singular-search.toml").read_text()
    changed = text.replace("copies = 1000", "copies = 3").replace(
        '"data/methane.xyz"', f'"{METHANE}"'
    )
    job.write_text(changed)
    store = tmp_path / "search.zarr"
    call("run", job, "--executor", "serial", "-o", store)
    found = json.loads(call("report", store, "--json"))["singular"]
    assert (found["stage"], found["rows"]) == ("search", 9)
    assert sum(found["points"].values()) <= 9
    led = [n for kinds in found["points_by_point_group"].values() for n in kinds.values()]
    assert sum(led) == sum(r["distance_angstrom"] is not None for r in all_starts(store))
    distances = [r["distance_angstrom"] for r in found["blindest"] if r["distance_angstrom"]]
    assert distances == sorted(distances)
    text = call("report", store, "--figure", tmp_path / "search.png")
    for words in ("different points", "by their point group", "they form families"):
        assert words in text
    assert (tmp_path / "search.png").stat().st_size > 10_000
    call("export", store, "-o", tmp_path / "search.xyz")
