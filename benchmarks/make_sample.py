"""
Make the bundled sample of QM9: ``python benchmarks/make_sample.py INPUT.xyz[.xz]``.

Takes as many molecules of each size as there are of the rarest sizes allow, in the order of the
input, keeps ``qm9_id`` and nothing else, and writes jobs/data/qm9_sample.xyz.xz and
tests/data/molecules_60.xyz. The output depends on the input alone.
"""

from __future__ import annotations

import argparse
import lzma
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PER_SIZE = 20
SMALL = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", type=Path)
    args = parser.parse_args()
    opener = lzma.open if args.input.suffix == ".xz" else open
    with opener(args.input, "rt") as file:
        lines = file.read().splitlines()
    taken: Counter[int] = Counter()
    frames: list[tuple[int, str]] = []
    at = 0
    while at < len(lines):
        n = int(lines[at])
        if taken[n] < PER_SIZE:
            taken[n] += 1
            frames.append((n, frame(lines[at : at + n + 2])))
        at += n + 2
    sample = "".join(text for _, text in frames)
    target = ROOT / "jobs" / "data" / "qm9_sample.xyz.xz"
    target.write_bytes(lzma.compress(sample.encode(), preset=9 | lzma.PRESET_EXTREME))
    step = len(frames) // SMALL
    small = "".join(text for _, text in frames[::step][:SMALL])
    (ROOT / "tests" / "data" / "molecules_60.xyz").write_text(small)
    print(f"{len(frames)} molecules of {min(taken)} to {max(taken)} atoms, "
          f"{target.stat().st_size} bytes")  # fmt: skip


def frame(lines: list[str]) -> str:
    number = re.search(r"qm9_id=(\d+)", lines[1])
    identity = f" qm9_id={number[1]}" if number else ""
    header = f'Properties=species:S:1:pos:R:3{identity} pbc="F F F"'
    atoms = (" ".join(line.split()[:4]) for line in lines[2:])
    return "\n".join([lines[0].strip(), header, *atoms]) + "\n"


if __name__ == "__main__":
    main()
