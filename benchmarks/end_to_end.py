"""
Structures per second from a database to fingerprints on disk, and what a user's script reaches.

    python benchmarks/end_to_end.py --input qm9.xyz[.xz] --structures 100000

repeats the input to so many structures, writes them as extended XYZ, as an ASE database and as an
ingested structure store, and featurises each with order-7 moment invariants on 1 and 2 workers.
It prints structures per second and worker, where the workers' time went, Dask's share, and the
peak memory of client and workers for a tenth of the input and for all of it.

Beside it runs the script that people write today: ASE reads the file, a loop calls the library
for each structure, numpy saves the rows. `--dscribe-python` and `--milad-python` name
interpreters that have these libraries (each in a virtual environment of its own: milad 0.3.1
wants Python 3.10, numpy 1.23 and dscribe < 2); without them the rows are left out.
"""

from __future__ import annotations

import argparse
import io
import lzma
import os
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path

import ase.db
import ase.io
import psutil

from distdesc.report.reader import open_run
from distdesc.report.summary import summarise

HERE = Path(__file__).resolve().parent
SAMPLE = HERE.parent / "jobs" / "data" / "qm9_sample.xyz.xz"

DSCRIBE = """
import sys, time, numpy as np, ase.io
from dscribe.descriptors import SOAP
start = time.perf_counter()
soap = SOAP(species=["H", "C", "N", "O", "F"], r_cut=5.0, n_max=8, l_max=6, sigma=0.5)
rows, n = [], 0
for atoms in ase.io.iread(sys.argv[1], format="extxyz"):
    rows.append(soap.create(atoms)); n += 1
np.save(sys.argv[2], np.concatenate(rows))
print(n / (time.perf_counter() - start))
"""

MILAD = """
import sys, time, numpy as np, ase.io, milad
finger = milad.descriptor(
    species={"map": {"numbers": (1, 6, 7, 8, 9), "range": (1.0, 2.0)}}, cutoff=5.0)
images = iter(ase.io.iread(sys.argv[1], format="extxyz"))
def rows_of(atoms):
    found = milad.asetools.extract_environments(atoms, cutoff=5.0, include_central_atom=False)
    return [finger(milad.asetools.ase2milad(env)) for env in found]
rows_of(next(images))  # builds its tables
start, rows, n = time.perf_counter(), [], 0
for atoms in images:
    rows += rows_of(atoms); n += 1
np.save(sys.argv[2], np.array(rows))
print(n / (time.perf_counter() - start))
"""


def main() -> None:
    args = arguments()
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        scratch = Path(folder)
        inputs = make_inputs(args.input, args.structures, scratch)
        peers = peer_rates(args, inputs["small xyz"], scratch)
        results = {}
        for source in ("structure store", "xyz", "ase db"):
            for workers in (1, 2):
                found = featurise(inputs[source], scratch / "out.zarr", workers)
                results[source, workers] = found
                print(line(source, workers, found, peers), flush=True)
        print()
        print(times(results))
        print()
        print(memory(inputs["tenth"], results["structure store", 2], scratch))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input", type=Path, default=SAMPLE)
    parser.add_argument("--structures", type=int, default=100_000)
    parser.add_argument("--peer-structures", type=int, default=200)
    parser.add_argument("--dscribe-python")
    parser.add_argument("--milad-python")
    parser.add_argument("--scratch", type=Path, default=None)
    return parser.parse_args()


def make_inputs(source: Path, n: int, scratch: Path) -> dict[str, str]:
    """The same structures as extended XYZ, ASE database and structure store."""
    opener = lzma.open if source.suffix == ".xz" else open
    with opener(source, "rt") as file:
        text = file.read()
    images = ase.io.read(io.StringIO(text), ":", format="extxyz")
    names = {k: scratch / f"{k}.xyz" for k in ("xyz", "tenth", "small xyz")}
    whole, rest = divmod(n, len(images))
    names["xyz"].write_text(text * whole + first(text, rest))
    whole, rest = divmod(n // 10, len(images))
    names["tenth"].write_text(text * whole + first(text, rest))
    names["small xyz"].write_text(first(text, 400))
    database = scratch / "all.db"
    with ase.db.connect(database) as db:
        for k in range(n):
            db.write(images[k % len(images)])
    stores = {}
    for name in ("xyz", "tenth"):
        stores[name] = scratch / f"{name}.structures.zarr"
        distdesc("ingest", names[name], "-o", stores[name])
    return {
        "xyz": str(names["xyz"]),
        "small xyz": str(names["small xyz"]),
        "ase db": str(database),
        "structure store": str(stores["xyz"]),
        "tenth": str(stores["tenth"]),
    }


def first(text: str, n: int) -> str:
    lines, at = text.splitlines(keepends=True), 0
    for _ in range(n):
        at += int(lines[at]) + 2
    return "".join(lines[:at])


def distdesc(*arguments: object) -> subprocess.Popen[bytes]:
    process = subprocess.run(
        [sys.executable, "-m", "distdesc", *map(str, arguments)], capture_output=True, check=False
    )
    if process.returncode:
        raise SystemExit(process.stderr.decode())
    return process


def featurise(source: str, store: Path, workers: int, shard_rows: int = 0) -> dict[str, object]:
    """One run: rate between its first and last shard, activities, peaks of memory."""
    subprocess.run(["rm", "-rf", str(store)], check=True)
    command = [sys.executable, "-m", "distdesc", "featurise", source, "-o", str(store)]
    command += ["--workers", str(workers), "--elements", "H,C,N,O,F"]
    command += ["--set", f"store.shard_rows={shard_rows}"]
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    peaks: dict[str, int] = {"client": 0, "worker": 0}
    watcher = threading.Thread(target=watch, args=(process.pid, peaks))
    watcher.start()
    _, errors = process.communicate()
    wall = time.perf_counter() - begun
    watcher.join()
    if process.returncode:
        raise SystemExit(errors.decode())
    run = open_run(store)
    summary = summarise(run)
    stage = summary.stages[0]
    span = stage.last - stage.first
    return {
        "rate": summary.structures / span,
        "span": span,
        "wall": wall,
        "busy": stage.seconds["total"] / (span * workers),
        "seconds": stage.seconds,
        "structures": summary.structures,
        "bytes": summary.bytes,
        "peaks": peaks,
        "workers": workers,
        "shard_rows": run.plan.layouts[0].shard_rows,
    }


def watch(pid: int, peaks: dict[str, int]) -> None:
    """Largest resident memory of the client (with the scheduler in it) and of a worker."""
    while True:
        try:
            parent = psutil.Process(pid)
            sizes = {"client": [parent.memory_info().rss]}
            children = parent.children(recursive=True)
            sizes["worker"] = [c.memory_info().rss for c in children if c.is_running()]
        except psutil.NoSuchProcess:
            if not psutil.pid_exists(pid):
                return
            continue
        for name, found in sizes.items():
            peaks[name] = max([peaks[name], *found])
        time.sleep(0.1)


def peer_rates(args: argparse.Namespace, source: str, scratch: Path) -> dict[str, float]:
    rates = {}
    scripts = {"dscribe SOAP": (args.dscribe_python, DSCRIBE), "milad": (args.milad_python, MILAD)}
    for name, (python, script) in scripts.items():
        if python:
            found = subprocess.run(
                [python, "-c", textwrap.dedent(script), source, str(scratch / "rows.npy")],
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
            if found.returncode:
                raise SystemExit(found.stderr)
            rates[name] = float(found.stdout.split()[-1])
    return rates


def line(source: str, workers: int, found: dict, peers: dict[str, float]) -> str:
    ratios = "".join(f", {found['rate'] / r:,.0f} × {name} script" for name, r in peers.items())
    return (
        f"{source:>16}, {workers} workers: {found['rate']:>8,.0f} structures/s, "
        f"{found['rate'] / workers:>7,.0f} a worker; outside tasks {1 - found['busy']:.1%}{ratios}"
    )


def times(results: dict) -> str:
    lines = ["share of the workers' time, 1 worker:"]
    for (source, workers), found in results.items():
        if workers == 1:
            total = found["seconds"]["total"]
            parts = ", ".join(
                f"{k} {v / total:.1%}" for k, v in found["seconds"].items() if k != "total"
            )
            lines.append(f"{source:>16}: {parts}")
    return "\n".join(lines)


def memory(tenth: str, whole: dict, scratch: Path) -> str:
    small = featurise(tenth, scratch / "tenth.zarr", 2, whole["shard_rows"])
    lines = ["peak memory, a tenth of the structures → all of them, shards of the same size:"]
    for name in ("client", "worker"):
        a, b = small["peaks"][name], whole["peaks"][name]
        lines.append(f"{name:>16}: {a / 2**20:,.0f} → {b / 2**20:,.0f} MiB, × {b / a:.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
