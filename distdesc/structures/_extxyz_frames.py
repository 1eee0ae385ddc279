"""Frames of extended XYZ text: the C parser first, ASE for whatever that one refuses."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from extxyz import cextxyz
from numpy.typing import NDArray

from distdesc.errors import SourceError
from distdesc.structures._extxyz_header import PLAIN_COLUMNS, plain_header
from distdesc.structures.records import as_results, from_atoms, is_result, parse_errors
from distdesc.structures.source import Structure

Geometry = tuple[list[int] | NDArray[Any], NDArray[np.float64], NDArray[np.float64], Any]
"""Atomic numbers, positions, cell with vectors as rows, periodicity."""

# The C parser lets integers overflow and reads logicals by rules of its own, so that columns
# other than text and reals are left to ASE.
_SAFE_COLUMNS = re.compile(
    r"(Z:I:1|species:I:1|\w+:[SR]:[1-9]\d?)(:(Z:I:1|\w+:[SR]:[1-9]\d?))*", re.ASCII
)
_COLUMNS = re.compile(r"""^[^\n]*\n[^\n]*Properties=[\"'{\[]?([\w:]*)""")
_NO_POSITIONS = "no columns of positions"
_COLUMN_NAMES = {"pos": "positions", "Z": "numbers", "charge": "charges", "species": "symbols"}
_C_ERRORS = (cextxyz.ExtXYZError, ValueError, EOFError, MemoryError)


class UnreadableError(Exception):
    """A frame that no parser can read; the text says why."""


class _RefusedError(Exception):
    """A frame that one parser cannot read and the next one may."""


class FrameFile:
    """
    An extended XYZ file, opened for reading frames at known places; a context manager.

    Parameters
    ----------
    path : str
        Plain text.

    Raises
    ------
    SourceError
        If it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._bytes = Path(path).open("rb")  # noqa: SIM115 (closed by __exit__)
        except OSError as error:
            raise SourceError(f"{path} cannot be opened: {error}") from error
        self._c = cextxyz.cfopen(path, "rb")
        if not self._c.value:
            self._bytes.close()
            raise SourceError(f"{path} cannot be opened a second time: too many open files?")

    def __enter__(self) -> FrameFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._bytes.close()
        cextxyz.cfclose(self._c)

    def geometry(self, start: int, stop: int, count: int) -> Geometry:
        """
        Geometry of one frame.

        Parameters
        ----------
        start, stop : int
            Its bytes.
        count : int
            Its atoms.

        Raises
        ------
        UnreadableError
            If no parser can read it.
        """
        try:
            columns, cell, pbc = self._header(start)
            return (*_atoms(self._columns(start, stop, count, columns)), cell, pbc)
        except _RefusedError:
            record = self.record(start, stop, count)
            return record.numbers, record.positions, record.cell, record.pbc

    def record(self, start: int, stop: int, count: int) -> Structure:
        """
        One frame with all its data, exactly as ASE reads it.

        Parameters
        ----------
        start, stop : int
            Its bytes.
        count : int
            Its atoms.

        Raises
        ------
        UnreadableError
            If no parser can read it.
        """
        text = self._text(start, stop)
        try:
            return self._record(text, start, stop, count)
        except _RefusedError:
            record = _record_by_ase(text)
        if len(record.numbers) != count:
            n = len(record.numbers)
            raise UnreadableError(f"ASE makes {n} atoms of a frame that announces {count}")
        return record

    def _text(self, start: int, stop: int) -> str:
        self._bytes.seek(start)
        data = self._bytes.read(stop - start + 1)
        if len(data) < stop - start or (len(data) > stop - start and data[-2:-1] != b"\n"):
            raise UnreadableError("the frame does not end where it did: the file has changed")
        data = data[: stop - start]
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data.decode("latin-1")

    def _header(self, start: int) -> tuple[str, NDArray[np.float64], NDArray[np.bool_]]:
        self._bytes.seek(start)
        self._bytes.readline()
        found = plain_header(self._bytes.readline().rstrip(b"\r\n"))
        if found is None:
            raise _RefusedError("the header is not plain")
        return found

    def _columns(self, start: int, stop: int, count: int, columns: str) -> dict[str, NDArray[Any]]:
        """
        Columns as the C parser reads them, which must end where the frame does.

        It never sees the header, of which some crash it, such as ``Properties=6``.
        """
        if count == 0:
            raise _RefusedError("the C parser crashes on frames without atoms")
        if cextxyz.cftell(self._c) != start:
            cextxyz.cfseek(self._c, start, 0)
        header = f"Properties={columns}"
        try:
            n, _, found = cextxyz.read_frame_dicts(self._c, comment=header, use_cleri=False)
        except _C_ERRORS as error:
            raise _RefusedError(str(error)) from error
        if n != count or cextxyz.cftell(self._c) != stop:
            raise _RefusedError(f"the C parser reads another frame than the one of {count} atoms")
        return dict(found)

    def _record(self, text: str, start: int, stop: int, count: int) -> Structure:
        """Record with the header read by ASE and the columns by the C parser."""
        from ase.io.extxyz import key_val_str_to_dict, per_config_properties

        lines = text.split("\n", 2)
        if len(lines) < 2:
            raise _RefusedError("no header line")
        header = lines[1].strip()
        try:
            info = key_val_str_to_dict(header) if header else {}
        except parse_errors() as error:
            raise _RefusedError(str(error)) from error
        columns = info.pop("Properties", PLAIN_COLUMNS)
        if not isinstance(columns, str) or not _SAFE_COLUMNS.fullmatch(columns):
            raise _RefusedError(f"columns {columns}")
        arrays = self._columns(start, stop, count, columns)
        numbers, positions = _atoms(arrays)
        cell, pbc = _lattice(info)
        results: dict[str, Any] = {k: arrays.pop(k) for k in list(arrays) if is_result(k)}
        results |= {k: info.pop(k) for k in list(info) if k in per_config_properties}
        if "stress" in results and np.shape(results["stress"]) == (3, 3):
            results["stress"] = _voigt(results["stress"])
        if "initial_charges" in arrays or "move_mask" in arrays:
            raise _RefusedError("columns with a meaning to ASE")
        arrays = {k: v.astype(object) if v.dtype.kind == "U" else v for k, v in arrays.items()}
        periodic = np.empty(3, dtype=bool)
        periodic[:] = pbc
        return Structure(
            np.array(numbers, dtype=np.int64), positions, cell, periodic,
            info, arrays, as_results(results),
        )  # fmt: skip


def _atoms(arrays: dict[str, NDArray[Any]]) -> tuple[Any, NDArray[np.float64]]:
    """Atomic numbers and positions, taken out of the columns, which get their ASE names."""
    for name in [n for n in arrays if n in _COLUMN_NAMES]:
        arrays[_COLUMN_NAMES[name]] = arrays.pop(name)
    symbols = arrays.pop("symbols", None)
    numbers = arrays.pop("numbers", symbols)
    positions = arrays.pop("positions", None)
    if positions is None:
        raise UnreadableError(_NO_POSITIONS)
    if numbers is None or numbers.ndim != 1 or positions.ndim != 2 or positions.shape[1] != 3:
        raise _RefusedError("no column of species, or several; or not three of positions")
    if numbers.dtype.kind in "iu":
        return numbers, positions
    try:
        return [atomic_numbers[symbol] for symbol in numbers.tolist()], positions
    except KeyError:
        return [_number(str(symbol)) for symbol in numbers], positions


def _number(symbol: str) -> int:
    if symbol.isdecimal():
        return int(symbol)
    number = atomic_numbers.get(symbol.capitalize())
    if number is None:
        raise UnreadableError(f"unknown species {symbol!r}")
    return int(number)


def _lattice(info: dict[str, Any]) -> tuple[NDArray[np.float64], Any]:
    """Cell with vectors as rows and periodicity, taken out of the header."""
    lattice = info.pop("Lattice", None)
    pbc = info.pop("pbc", lattice is not None)
    if np.shape(pbc) not in ((), (3,)) or isinstance(pbc, str):
        raise _RefusedError(f"pbc {pbc}")
    if lattice is None:
        return np.zeros((3, 3)), np.asarray(pbc, dtype=bool)
    if np.shape(lattice) != (3, 3) or lattice.dtype.kind not in "if":
        raise _RefusedError(f"Lattice {lattice}")
    return np.ascontiguousarray(lattice.T, dtype=np.float64), np.asarray(pbc, dtype=bool)


def _voigt(stress: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([stress[k] for k in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))])


def _record_by_ase(text: str) -> Structure:
    from ase.io.extxyz import read_xyz

    columns = _COLUMNS.search(text)
    if columns and not {"pos", "positions"} & set(columns[1].split(":")[::3]):
        # ASE would put all atoms at the origin.
        raise UnreadableError(_NO_POSITIONS)
    announced = columns[1] if columns else PLAIN_COLUMNS
    if _width(announced) > len(text):
        # ASE would make room for them first, be there memory for it or not.
        raise UnreadableError(
            f"Properties announces more columns than the frame has characters: {announced[:80]}"
        )
    try:
        atoms: Atoms = next(iter(read_xyz(io.StringIO(text), 0)))
    except KeyError as error:
        raise UnreadableError(f"unknown species or key {error}") from error
    except parse_errors() as error:
        short = _short_line(text, announced)
        raise UnreadableError(short or f"{type(error).__name__}: {error}") from error
    return from_atoms(atoms)


def _short_line(text: str, columns: str) -> str | None:
    """Say which atom has fewer columns than announced; ASE says that in many ways."""
    wanted = _width(columns)
    for number, line in enumerate(text.split("\n")[2:]):
        found = len(line.split())
        if 0 < found < wanted:
            return f"Properties announces {wanted} columns, but atom {number} has {found}"
    return None


def _width(columns: str) -> int:
    """How many columns are announced; 0 if that is no number."""
    widths = columns.split(":")[2::3]
    if not all(w.isdecimal() for w in widths):
        return 0
    return sum(int(w) if len(w) < 19 else 10**18 for w in widths)
