"""
Environments of crystals and molecules, decoded: how many come back, by file.

    python benchmarks/decode_environments.py crystals.xyz 4.0 liquid.xyz 3.5

takes, of each file, environments at random (a seed is fixed) with a cutoff in Å that the next
argument says, with a decay over 0.5 Å before it, order 9, and the elements of the structure to
choose between. An environment came back if every neighbour is within 0.01 Å of its place and of its
element; those with more neighbours than 35, which order 9 can hold, are left out and counted.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter

import numpy as np
from ase import Atoms
from ase.io import read
from kernel import stay_on_one_core

from distdesc.descriptors.moment_invariants import MomentInvariants
from distdesc.stages.decode import Decode
from distdesc.stages.decoded import VERDICTS
from distdesc.stopwatch import Stopwatch
from distdesc.structures.source import Structures

HOLDS = 35
NAMES = {code: verdict.value for verdict, code in VERDICTS.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", help="file, cutoff, file, cutoff, ...")
    parser.add_argument("--structures", type=int, default=25, help="of each file")
    parser.add_argument("--per", type=int, default=3, help="environments of each structure")
    parser.add_argument("--failures", action="store_true", help="also say what did not come back")
    arguments = parser.parse_args()
    print(
        "| file | cutoff, Å | neighbours | came back | too many | exact but wrong | ms | groups |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for file, cutoff in zip(arguments.files[::2], arguments.files[1::2], strict=True):
        print(line(file, float(cutoff), arguments), flush=True)


def line(file: str, cutoff: float, arguments: argparse.Namespace) -> str:
    """Row of the table, of one file."""
    rng = np.random.default_rng(1)
    images = read(file, ":")
    rows, seconds, crowded = [], [], 0
    for k in rng.permutation(len(images))[: arguments.structures]:
        elements = tuple(sorted(set(images[k].symbols)))
        descriptor = MomentInvariants(cutoff, order=9, invariants="full", elements=elements)
        stage, batch = Decode(descriptor, per="environment"), as_batch(images[k])
        for atom in rng.permutation(len(images[k]))[: arguments.per]:
            begin = time.process_time()
            found = stage.run(batch, int(atom), int(atom) + 1, Stopwatch())
            if found["n_true"][0] > HOLDS:
                crowded += 1
                continue
            seconds.append(time.process_time() - begin)
            rows.append({name: values[0] for name, values in found.items() if len(values) == 1})
            if arguments.failures and not came_back(rows[-1]):
                row, verdict = rows[-1], NAMES[int(rows[-1]["verdict"])]
                what = f"{row['n_true']} neighbours, {row['n_atoms']} found, {row['point_group']}"
                print(f"  structure {k} atom {atom}: {what}: {verdict} {row['reason']}")
    good = [came_back(row) for row in rows]
    sizes = [row["n_true"] for row in rows]
    exact = [NAMES[int(row["verdict"])] == "exact" for row in rows]
    groups = Counter(str(row["point_group"]) for row in rows)
    cells = (
        file.rsplit("/", 1)[-1].split(".")[0], f"{cutoff:g}",
        f"{min(sizes)} to {max(sizes)}", f"{sum(good)} of {len(good)}", str(crowded),
        str(sum(e and not g for e, g in zip(exact, good, strict=True))),
        f"{1e3 * np.median(seconds):.0f}",
        ", ".join(f"{name} {n}" for name, n in groups.most_common(4)),
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def came_back(row: dict) -> bool:
    return row["max_error"] <= 0.01 and row["species_ok"] == 1


def as_batch(atoms: Atoms) -> Structures:
    """One structure as a batch."""
    return Structures(
        indices=np.zeros(1, dtype=np.int64),
        offsets=np.array([0, len(atoms)]),
        numbers=atoms.numbers.astype(np.int32),
        positions=atoms.positions.copy(),
        cells=np.array(atoms.cell)[None],
        pbc=atoms.pbc[None],
    )


if __name__ == "__main__":
    stay_on_one_core()
    main()
