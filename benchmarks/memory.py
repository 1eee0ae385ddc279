"""
Peak memory of a worker to what the plan projects, for every stage and mixes of sizes.

    python benchmarks/memory.py [--only PATTERN]

Molecules of three atoms, crystals of a few thousand and one of 10^5 atoms are put into one source,
which every stage is planned on. Then a few shards, of the molecules, of the crystals, and of both,
are each computed in a fresh process, and the largest resident memory of that process is compared
with the projection: a ratio above one is a worker that takes more than it said.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from distdesc.campaign import Campaign
from distdesc.engine.memory import peak_rss
from distdesc.engine.prepare import prepare
from distdesc.engine.run import stage_plans
from distdesc.engine.task import run_task
from distdesc.engine.versions import versions
from distdesc.engine.workspace import open_workspace
from distdesc.store.written import read_plan

MOMENTS = {"name": "moment_invariants", "order": 7, "cutoff": 5.0, "elements": ["H", "O", "Si"]}
SPECTRUM = {"name": "power_spectrum", "n_max": 8, "l_max": 8, "cutoff": 5.0,
            "elements": ["H", "O", "Si"]}  # fmt: skip
SMALL = {"name": "power_spectrum", "n_max": 4, "l_max": 3, "cutoff": 4.0,
         "elements": ["H", "O", "Si"]}  # fmt: skip
WEIGHTS = {"name": "moment_invariants", "order": 7, "cutoff": 5.0, "species": "none",
           "smoothing": 0,
           "elements": ["H", "O", "Si"]}  # fmt: skip

CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "moments": ("mixed", MOMENTS, {"name": "fingerprint"}, {}),
    "spectrum": ("mixed", SPECTRUM, {"name": "fingerprint"}, {}),
    "spectrum-float32": ("mixed", SPECTRUM, {"name": "fingerprint", "dtype": "float32"}, {}),
    "spectrum-sparse": ("mixed", SPECTRUM, {"name": "fingerprint", "layout": "sparse"}, {}),
    "pooled-mean": ("mixed", SPECTRUM, {"name": "fingerprint", "per": "structure"}, {}),
    "pooled-species": (
        "mixed", SPECTRUM, {"name": "fingerprint", "per": "structure", "pool": "species"}, {},
    ),
    "pooled-crystals": ("crystals", MOMENTS, {"name": "fingerprint", "per": "structure"}, {}),
    "whole": ("clusters", {**MOMENTS, "smoothing": 0}, {"name": "fingerprint", "per": "whole"}, {}),
    "singular-env": ("mixed", SMALL, {"name": "singular"}, {"shard_rows": 256}),
    "singular-sum": ("small", SMALL, {"name": "singular", "map": "sum"}, {"shard_rows": 16}),
    "singular-stack": ("small", SMALL, {"name": "singular", "map": "stack"}, {"shard_rows": 4}),
    "sensitivity": (
        "small", SMALL, {"name": "sensitivity", "vary": {"n_max": [2, 4]}}, {"shard_rows": 64},
    ),
    "decode": ("molecules", WEIGHTS, {"name": "decode"}, {"shard_rows": 32}),
    "ingest": ("mixed", {}, {"name": "ingest"}, {}),
    "ingest-crystals": ("crystals", {}, {"name": "ingest"}, {}),
}  # fmt: skip


def water(rng: np.random.Generator) -> tuple[list[str], np.ndarray, float]:
    """Three atoms without a cell."""
    flat = np.array([[0.0, 0, 0], [0.76, 0.59, 0], [-0.76, 0.59, 0]])
    return ["O", "H", "H"], flat + 0.05 * rng.normal(size=(3, 3)), 0.0


def crystal(rng: np.random.Generator, n: int) -> tuple[list[str], np.ndarray, float]:
    """Perturbed simple cubic lattice of two elements, 2.5 Å apart."""
    side = round(n ** (1 / 3))
    places = 2.5 * np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), -1).reshape(-1, 3)
    places = places + 0.1 * rng.normal(size=places.shape)
    return ["Si" if k % 3 else "O" for k in range(len(places))], places, 2.5 * side


def frames(mix: str) -> list[tuple[list[str], np.ndarray, float]]:
    rng = np.random.default_rng(0)
    if mix == "molecules":
        return [water(rng) for _ in range(200)]
    if mix == "clusters":
        return [(*crystal(rng, 3 ** (3 + k % 4))[:2], 0.0) for k in range(300)]
    if mix == "small":
        few = [crystal(rng, 64) for _ in range(8)]
        return [f for k in range(8) for f in (*(water(rng) for _ in range(20)), few[k])]
    if mix == "crystals":
        return [crystal(rng, 8000) for _ in range(150)]
    some = [water(rng) for _ in range(20000)]
    return [*some[:15000], crystal(rng, 97336), *some[15000:], crystal(rng, 4096)]


def write(path: Path, mix: str) -> None:
    """Source of a mix of structures, as extended XYZ."""
    with path.open("w") as file:
        for symbols, positions, side in frames(mix):
            cell = f'Lattice="{side} 0 0 0 {side} 0 0 0 {side}" ' if side else ""
            file.write(f"{len(symbols)}\n{cell}Properties=species:S:1:pos:R:3\n")
            rows = zip(symbols, positions, strict=True)
            file.writelines(f"{s} {x:.6f} {y:.6f} {z:.6f}\n" for s, (x, y, z) in rows)


def campaign(case: str, source: Path, store: Path) -> Campaign:
    _, descriptor, stage, options = CASES[case]
    section = {"descriptor": descriptor} if descriptor else {}
    return Campaign.from_dict(
        {
            "question": "What does a worker need?",
            "source": {"name": "extxyz", "path": str(source)},
            **section,
            "stage": [stage],
            "store": {"path": str(store), **options},
            "execution": {"executor": "serial"},
            "limits": {"quarantined_fraction": 1.0},
        }
    )


def chosen(table: np.ndarray) -> list[int]:
    """Shards to look at: the first, that with most atoms, and its neighbours."""
    heavy = int(table[:, 3].argmax())
    return sorted({0, heavy, min(heavy + 1, len(table) - 1), len(table) - 1})[:4]


def compute(store: Path, shard: int) -> None:
    """Compute one shard here, and print what it took."""
    plan = read_plan(store)
    stage = stage_plans(store, plan)[0]
    open_workspace(store, plan.digest)
    before = peak_rss()
    receipt = run_task(store, plan.digest, versions(), stage.task(shard))
    print(json.dumps([before, peak_rss(), receipt.counts, receipt.seconds["total"]]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", default="", help="cases whose names contain this")
    parser.add_argument("--compute", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.compute:
        compute(Path(options.compute[0]), int(options.compute[1]))
        return
    print(f"{'case':18s} {'shard':>6s} {'rows':>7s} {'started':>8s} {'peak':>8s} "
          f"{'projected':>9s} {'ratio':>6s} {'own':>6s}")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            if options.only in case:
                measure(Path(folder), case)


def measure(folder: Path, case: str) -> None:
    source = folder / f"{CASES[case][0]}.xyz"
    if not source.exists():
        write(source, CASES[case][0])
    store = folder / f"{case}.zarr"
    store.mkdir()
    written = prepare(campaign(case, source, store), lambda event: None, accept_versions=False)
    plan = stage_plans(store, written)[0]
    for shard in chosen(plan.table):
        command = [sys.executable, __file__, "--compute", str(store), str(shard)]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        before, peak, counts, seconds = json.loads(out)
        size = 2**20
        print(f"{case:18s} {shard:6d} {sum(counts.values()):7d} {before / size:8.0f} "
              f"{peak / size:8.0f} {plan.memory / size:9.0f} {peak / plan.memory:6.2f} "
              f"{(peak - before) / max(1, plan.memory - 300 * size):6.2f} {seconds:.1f} s "
              f"{counts['quarantined']}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
