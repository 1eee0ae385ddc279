"""Structures with all their data, and the ase.Atoms that they stand for."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from ase import Atoms
from ase.calculators.calculator import all_properties
from ase.calculators.singlepoint import SinglePointCalculator
from numpy.typing import NDArray

from distdesc.structures.source import Structure

_UNCONVERTED = ("energy", "magmom", "free_energy")


@functools.cache
def parse_errors(*more: type[Exception]) -> tuple[type[Exception], ...]:
    """
    What the parsers of ASE raise on malformed input; there is no common base class.

    Asked for where they are caught, and not before: ``ase.io`` takes long to import, and is not
    needed where nothing is malformed.

    Parameters
    ----------
    *more : type of Exception
        What else is to be caught.
    """
    from ase.io import ParseError
    from ase.io.formats import UnknownFileTypeError

    return (
        *more, ParseError, UnknownFileTypeError,
        ArithmeticError, AssertionError, AttributeError, EOFError, ImportError, LookupError,
        OSError, RuntimeError, StopIteration, SyntaxError, TypeError, ValueError, Warning,
    )  # fmt: skip


def from_atoms(atoms: Atoms) -> Structure:
    """
    Structure of an ``ase.Atoms``; constraints are not kept.

    Parameters
    ----------
    atoms : ase.Atoms
        Shares its arrays with the structure.
    """
    arrays = {k: v for k, v in atoms.arrays.items() if k not in ("numbers", "positions")}
    results = {} if atoms.calc is None else dict(atoms.calc.results)
    return Structure(
        np.asarray(atoms.numbers, dtype=np.int64),
        np.asarray(atoms.positions, dtype=np.float64),
        np.array(atoms.cell.array, dtype=np.float64),
        np.array(atoms.pbc, dtype=bool),
        dict(atoms.info),
        arrays,
        results,
    )


def to_atoms(structure: Structure) -> Atoms:
    """
    ``ase.Atoms`` of a structure, with a `SinglePointCalculator` if it has results.

    Parameters
    ----------
    structure : Structure
        Copied, not shared.
    """
    atoms = Atoms(
        numbers=structure.numbers,
        positions=structure.positions,
        cell=structure.cell,
        pbc=structure.pbc,
    )
    for name, values in structure.arrays.items():
        atoms.arrays[name] = np.array(values)
    atoms.info = copy.deepcopy(dict(structure.info))
    if structure.results:
        atoms.calc = SinglePointCalculator(atoms)
        # Not through its arguments, which know only some names and turn integers into floats.
        atoms.calc.results.update(copy.deepcopy(dict(structure.results)))
    return atoms


def as_results(values: Mapping[str, Any]) -> dict[str, Any]:
    """
    Calculator results, with the types that ``SinglePointCalculator`` gives them.

    Parameters
    ----------
    values : mapping of str to object
        By name; None is left out.
    """
    return {
        k: v if k in _UNCONVERTED else np.array(v, float)
        for k, v in values.items()
        if v is not None
    }


def is_result(name: str) -> bool:
    """
    Whether ASE takes a name for a calculator result.

    Parameters
    ----------
    name : str
        Such as ``forces``.
    """
    return name in all_properties


def write_database(path: Path, structures: Iterable[Structure]) -> int:
    """
    Append structures to a database of ASE, their info as key-value pairs.

    Parameters
    ----------
    path : pathlib.Path
        An SQLite file, created if missing.
    structures : iterable of Structure
        The structures; their info holds numbers and text only.

    Returns
    -------
    int
        Structures written.
    """
    from ase.db import connect

    n = 0
    with connect(path, type="db", use_lock_file=False) as database:
        for structure in structures:
            database.write(to_atoms(structure), key_value_pairs=dict(structure.info))
            n += 1
    return n


def write_extxyz(file: TextIO, structure: Structure, arrays: Mapping[str, NDArray[Any]]) -> None:
    """
    Append a structure to a file in extended XYZ.

    Parameters
    ----------
    file : text file
        Open for writing.
    structure : Structure
        Written with its info, arrays and results.
    arrays : mapping of str to ndarray
        Further columns, each of shape (n_atoms, ...).
    """
    from ase.io.extxyz import write_xyz

    atoms = to_atoms(structure)
    for name, values in arrays.items():
        atoms.arrays[name] = np.asarray(values)
    write_xyz(file, [atoms])
