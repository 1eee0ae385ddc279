"""Compiled search for the frames of extended XYZ text, at the speed of reading it."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from numba import njit

FRAME = 0
"""Status: a plausible frame."""

MORE = 1
"""Status: the buffer ends first, and the file goes on."""

FULL = 2
"""Status: the output arrays are full."""

NOT_COUNT = 3
"""Status: a line should be a number of atoms and is not."""

FEW_COLUMNS = 4
"""Status: a line should be an atom and has fewer than four columns."""

SHORT = 5
"""Status: the file ends before the frame does."""

END = 6
"""Status: the end of the file."""

NEWLINE = 10
MAX_DIGITS = 9


@njit(cache=True, nogil=True)
def _is_space(byte):
    return byte == 32 or 9 <= byte <= 13


@njit(cache=True, nogil=True)
def line_end(buffer, size, pos):
    """
    Position of the next line break at or after a position, or `size`.

    Parameters
    ----------
    buffer : ndarray, shape (n,), uint8
        Text.
    size : int
        Bytes in use.
    pos : int
        Where to begin.
    """
    while pos < size and buffer[pos] != NEWLINE:
        pos += 1
    return pos


@njit(cache=True, nogil=True)
def _read_count(buffer, pos, end):
    """Value of a line that is one unsigned integer; -1 if it is not, -2 if it is blank."""
    while pos < end and _is_space(buffer[pos]):
        pos += 1
    if pos == end:
        return -2
    value = 0
    first = pos
    while pos < end and 48 <= buffer[pos] <= 57:
        value = 10 * value + (buffer[pos] - 48)
        pos += 1
        if pos - first > MAX_DIGITS:
            return -1
    if pos == first:
        return -1
    while pos < end and _is_space(buffer[pos]):
        pos += 1
    return value if pos == end else -1


@njit(cache=True, nogil=True)
def frame_at(buffer, size, final, pos):
    """
    Look at the frame that should begin at a position.

    Parameters
    ----------
    buffer : ndarray, shape (n,), uint8
        Text.
    size : int
        Bytes in use.
    final : bool
        Whether the file ends with the buffer.
    pos : int
        Beginning of a line that is not blank.

    Returns
    -------
    tuple of int
        Status; position after the frame, or of the line at fault; number of atoms announced;
        lines before that position, counted from `pos`.
    """
    end = line_end(buffer, size, pos)
    if end == size and not final:
        return MORE, pos, 0, 0
    count = _read_count(buffer, pos, end)
    if count < 0:
        return NOT_COUNT, pos, 0, 0
    pos = min(end + 1, size)
    if pos == size:
        return (SHORT if final else MORE), pos, count, 1
    end = line_end(buffer, size, pos)
    if end == size and not final:
        return MORE, pos, count, 1
    pos = min(end + 1, size)
    for atom in range(count):
        line = pos
        if pos == size:
            return (SHORT if final else MORE), pos, count, 2 + atom
        columns = 0
        inside = False
        while pos < size and buffer[pos] != NEWLINE:
            if _is_space(buffer[pos]):
                inside = False
            elif not inside:
                inside = True
                columns += 1
                if columns == 4:
                    pos = line_end(buffer, size, pos)
                    break
            pos += 1
        if pos == size and not final:
            return MORE, line, count, 2 + atom
        if columns < 4:
            return FEW_COLUMNS, line, count, 2 + atom
        pos = min(pos + 1, size)
    return FRAME, pos, count, 2 + count


@njit(cache=True, nogil=True)
def scan_frames(buffer, size, final, pos, line, frames):
    """
    Find frames one after the other, with blank lines between them or not.

    Parameters
    ----------
    buffer : ndarray, shape (n,), uint8
        Text.
    size : int
        Bytes in use.
    final : bool
        Whether the file ends with the buffer.
    pos : int
        Beginning of a line.
    line : int
        Its number.
    frames : ndarray, shape (m, 4), int64
        Receives first byte, byte after the last, number of atoms and first line of each frame.

    Returns
    -------
    tuple of int
        Status (MORE, FULL, END, or what is wrong); frames found; position and line number from
        where to go on, which is the beginning of what is wrong.
    """
    n = 0
    while True:
        while pos < size and _is_space(buffer[pos]):
            end = line_end(buffer, size, pos)
            if end == size and not final:
                return MORE, n, pos, line
            if _read_count(buffer, pos, end) != -2:
                break
            pos = min(end + 1, size)
            line += 1
        if pos == size:
            return (END if final else MORE), n, pos, line
        if n == frames.shape[0]:
            return FULL, n, pos, line
        status, stop, count, lines = frame_at(buffer, size, final, pos)
        if status != FRAME:
            return status, n, pos, line
        frames[n, 0] = pos
        frames[n, 1] = stop
        frames[n, 2] = count
        frames[n, 3] = line
        n += 1
        pos = stop
        line += lines


@njit(cache=True, nogil=True)
def find_frame(buffer, size, final, pos, line):
    """
    Skip lines until one is the beginning of a plausible frame with at least one atom.

    Parameters
    ----------
    buffer : ndarray, shape (n,), uint8
        Text.
    size : int
        Bytes in use.
    final : bool
        Whether the file ends with the buffer.
    pos : int
        Beginning of a line.
    line : int
        Its number.

    Returns
    -------
    tuple of int
        Status (FRAME, MORE or END), position and line number.
    """
    while pos < size:
        status, _, count, _ = frame_at(buffer, size, final, pos)
        if status == MORE:
            return MORE, pos, line
        if status == FRAME and count > 0:
            return FRAME, pos, line
        pos = min(line_end(buffer, size, pos) + 1, size)
        line += 1
    return (END if final else MORE), pos, line
