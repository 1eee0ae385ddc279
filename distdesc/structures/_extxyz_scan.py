"""Index of the frames of extended XYZ files, and of what is not a frame."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from distdesc.structures import _extxyz_kernels as kernels

BLOCK = 2**23
"""Bytes of a buffer; grows where a single frame is larger."""

FRAMES = 2**14
"""Frames found per call of the kernel."""

ATOM_LINE = re.compile(rb"\s*[A-Z][a-z]?(\s+[-+]?[\d.]+([eEdD][-+]?\d+)?){3}(\s|$)")
"""A symbol and three numbers."""


class FrameIndex:
    """
    Frames and problems of files, in the order of the files.

    Attributes
    ----------
    files : list of pathlib.Path
        Files scanned so far.
    problems : dict of int to str
        What cannot be read and why, by position among all frames.
    """

    def __init__(self) -> None:
        self.files: list[Path] = []
        self.problems: dict[int, str] = {}
        self._digest = xxhash.xxh3_128()
        # They grow in place: of 10^8 frames, blocks that are joined at the end would take 12 GB.
        self._counts, self._locators = array("i"), array("q")

    def __len__(self) -> int:
        return len(self._counts)

    @property
    def digest(self) -> str:
        """Digest of the content of all files."""
        return str(self._digest.hexdigest())

    def arrays(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """
        Atom counts and locators.

        Returns
        -------
        tuple of ndarray
            Shape (n,), int32; shape (n, 4), int64: number of the file, first byte, byte after
            the last, first line. Not copies: no frame can be added while they are in use.
        """
        counts = np.frombuffer(self._counts, dtype=np.int32)
        return counts, np.frombuffer(self._locators, dtype=np.int64).reshape(-1, 4)

    def add_problem(self, start: int, stop: int, line: int, reason: str) -> None:
        """
        Add a stretch of the current file that is not a frame, as a structure without atoms.

        Parameters
        ----------
        start, stop : int
            Half-open range of bytes.
        line : int
            Number of its first line.
        reason : str
            What was found.
        """
        self.problems[len(self)] = reason
        self.add_frames(np.array([[start, stop, 0, line]]))

    def blame_last(self, reason: str) -> None:
        """
        Make the last frame a problem, in addition to what it may be already.

        Parameters
        ----------
        reason : str
            What was found.
        """
        before = self.problems.get(len(self) - 1)
        self.problems[len(self) - 1] = f"{before}; {reason}" if before else reason

    def add_frames(self, frames: NDArray[np.int64]) -> None:
        """
        Add frames of the current file.

        Parameters
        ----------
        frames : ndarray, shape (n, 4), int64
            First byte, byte after the last, number of atoms and first line of each.
        """
        locators = frames[:, [0, 0, 1, 3]]
        locators[:, 0] = len(self.files) - 1
        self._locators.frombytes(locators.tobytes())
        self._counts.frombytes(frames[:, 2].astype(np.int32).tobytes())

    def scan(self, path: Path, name: Path, progress: Callable[[int], None]) -> None:
        """
        Add the frames of a file.

        Parameters
        ----------
        path : pathlib.Path
            Plain text.
        name : pathlib.Path
            What to call it in problems; differs from `path` for unpacked copies.
        progress : callable
            Told how many bytes of the file are done.
        """
        self.files.append(path)
        first = len(self)
        digest = xxhash.xxh3_128()
        with path.open("rb") as file:
            scanner = _FileScanner(self, name)
            while True:
                room = scanner.room().data
                got = file.readinto(room)
                digest.update(room[:got])
                scanner.advance(got)
                progress(scanner.base + scanner.size)
                if not got:
                    break
        self._digest.update(f"{len(self) - first}:{digest.hexdigest()};".encode())


class _FileScanner:
    """One pass through a file: a buffer, where it is in the file, and what is being skipped."""

    def __init__(self, index: FrameIndex, name: Path) -> None:
        self.index, self.name = index, name
        self.buffer = np.empty(BLOCK, dtype=np.uint8)
        self.size = self.base = 0
        self.pos, self.line = 0, 1
        self.frames = np.empty((FRAMES, 4), dtype=np.int64)
        self.skipped: tuple[int, int, str] | None = None
        self.after_frame = False

    def room(self) -> NDArray[np.uint8]:
        """Free end of the buffer; what was dealt with is dropped, the rest moves to the front."""
        rest = self.size - self.pos
        if rest > len(self.buffer) // 2:
            larger = np.empty(2 * len(self.buffer), dtype=np.uint8)
            larger[:rest] = self.buffer[self.pos : self.size]
            self.buffer = larger
        else:
            self.buffer[:rest] = self.buffer[self.pos : self.size].copy()
        self.base += self.pos
        self.pos, self.size = 0, rest
        return self.buffer[rest:]

    def advance(self, got: int) -> None:
        """Deal with the next bytes; with no bytes, the file is at its end."""
        self.size += got
        final = not got
        status = kernels.FULL
        while status not in (kernels.MORE, kernels.END):
            status = self._skip(final) if self.skipped else self._take(final)

    def _take(self, final: bool) -> int:
        status, n, pos, line = kernels.scan_frames(
            self.buffer, self.size, final, self.pos, self.line, self.frames
        )
        found = self.frames[:n].copy()
        found[:, :2] += self.base
        if n:
            self.index.add_frames(found)
        # Without a frame, only blank lines were passed.
        self.after_frame = n > 0 or self.after_frame
        self.pos, self.line = pos, line
        if status >= kernels.NOT_COUNT and status != kernels.END:
            self._begin_skip()
        return int(status)

    def _begin_skip(self) -> None:
        """Say what is wrong here, and look for the next frame from the next line on."""
        where = f"{self.name} line {self.line}"
        status, pos, count, lines = kernels.frame_at(self.buffer, self.size, True, self.pos)
        text = self._text(pos)
        if status == kernels.NOT_COUNT:
            reason = f"{where}: expected a number of atoms, found {text}"
            if self.after_frame and ATOM_LINE.match(self._bytes(pos)):
                self.index.blame_last(
                    f"{where}: the frame before announces fewer atoms than it has, {text} follows"
                )
        elif status == kernels.SHORT:
            atoms = max(0, lines - 2)
            reason = f"{where}: announces {count} atoms, the file ends after {atoms}"
        else:
            at = f"line {self.line + lines}"
            reason = f"{where}: announces {count} atoms, but {at} is not an atom: {text}"
        self.skipped = (self.base + self.pos, self.line, reason)
        self._next_line()

    def _skip(self, final: bool) -> int:
        status, self.pos, self.line = kernels.find_frame(
            self.buffer, self.size, final, self.pos, self.line
        )
        if status != kernels.MORE and self.skipped:
            start, line, reason = self.skipped
            self.index.add_problem(start, self.base + self.pos, line, reason)
            self.skipped = None
            self.after_frame = False
        return int(status)

    def _next_line(self) -> None:
        end = kernels.line_end(self.buffer, self.size, self.pos)
        self.pos, self.line = min(end + 1, self.size), self.line + 1

    def _bytes(self, pos: int) -> bytes:
        end = kernels.line_end(self.buffer, self.size, pos)
        return self.buffer[pos : min(end, pos + 200)].tobytes()

    def _text(self, pos: int) -> str:
        text = self._bytes(pos).decode("utf-8", "replace").strip()
        return repr(text if len(text) <= 40 else f"{text[:40]}…")
