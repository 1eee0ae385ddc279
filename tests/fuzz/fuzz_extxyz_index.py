"""
Coverage-guided fuzz of the index of extended XYZ files; needs ``pip install atheris``.

Every input is indexed with three sizes of the buffer and compared with a slow twin, and every
structure is read, alone and with all its data. The compiled kernel runs as Python here, so that
its branches are seen; ``--replay`` runs a corpus through the compiled one.

    python tests/fuzz/fuzz_extxyz_index.py CORPUS -max_total_time=600
    python tests/fuzz/fuzz_extxyz_index.py --replay CORPUS

Other arguments are libFuzzer's. What fails is written to ``crash-…`` in the current folder; made
smaller by hand, it belongs into ``tests/data/fuzz``, whose files are the seeds, and are replayed
by the tests.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
SEEDS = TESTS / "data" / "fuzz"
REPLAY = sys.argv[1:2] == ["--replay"]
TOKENS = (
    r"\x0a", r"\x0d\x0a", r"\x0d", r"\x0b", r" \x0a", "0\\x0a", "1\\x0a", "2\\x0a", "999999999",
    "1000000000", "1\\x0a\\x0aH 0 0 0\\x0a", "H 0 0 0\\x0a", "H 0 0 0 1 2\\x0a", "Cl 1e3 -1.5 .5",
    "8 nan inf 0\\x0a", "Lattice=\\x221 0 0 0 1 0 0 0 1\\x22", "Properties=", "species:S:1:pos:R:3",
    ":forces:R:3", ":tags:I:1", ":m:L:1", "pbc=\\x22T F T\\x22", "energy=", "key={1 2}", "_JSON [",
    "stress=\\x221 2 3 4 5 6\\x22", "\\xff", "\\xc3\\xa9", "\\x00", "\\xef\\xbb\\xbf", "1e300",
)  # fmt: skip

sys.path.insert(0, str(TESTS))
if not REPLAY:
    os.environ["NUMBA_DISABLE_JIT"] = "1"
    import atheris

    with atheris.instrument_imports(include=["distdesc.structures"]):
        from reference.extxyz_index import assert_index_is_right, assert_reading_is_safe

        from distdesc.structures import _extxyz_kernels
else:
    from reference.extxyz_index import assert_index_is_right, assert_reading_is_safe


def check(data: bytes, file: Path) -> None:
    """Index and read some bytes; anything but structures, problems and our errors is a fault."""
    assert_index_is_right(data, file)
    assert_reading_is_safe(data, file)


def use_python_kernels() -> None:
    """Give the kernels bytes to read, whose items are whole numbers as they are when compiled."""
    for name in ("line_end", "frame_at", "scan_frames", "find_frame"):
        plain = getattr(_extxyz_kernels, name)

        def with_bytes(buffer, size, *rest, plain=plain):
            if not isinstance(buffer, bytes):
                buffer = buffer[:size].tobytes()
            return plain(buffer, size, *rest)

        setattr(_extxyz_kernels, name, with_bytes)


def replay(folders: list[str]) -> None:
    """Run all files of some folders through the compiled kernel."""
    files = [f for folder in folders for f in sorted(Path(folder).iterdir())]
    with tempfile.TemporaryDirectory() as scratch:
        for file in files:
            check(file.read_bytes(), Path(scratch) / "x.xyz")
    sys.stdout.write(f"{len(files)} inputs replayed, no fault\n")


def main() -> None:
    """Fuzz until stopped."""
    if REPLAY:
        replay(sys.argv[2:])
        return
    use_python_kernels()
    with tempfile.TemporaryDirectory() as scratch:
        file, tokens = Path(scratch) / "x.xyz", Path(scratch) / "tokens"
        tokens.write_text("".join(f'"{token}"\n' for token in TOKENS))
        own = ["-max_len=600", "-timeout=20", f"-dict={tokens}"]
        if not any(not a.startswith("-") for a in sys.argv[1:]):
            own.append(scratch)
        atheris.Setup(
            [sys.argv[0], *own, *sys.argv[1:], str(SEEDS)], lambda data: check(data, file)
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
