"""Data of structures as columns and as exact JSON, and back."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from ase.spacegroup import Spacegroup
from numpy.typing import NDArray

from distdesc.store.objects import parsed
from distdesc.structures.source import Structure

ATOM_RESULTS = frozenset({"forces", "stresses", "charges", "magmoms", "energies"})
"""Calculator results that ASE keeps per atom."""

PER_ATOM = ("arrays", "atom_results")
"""Groups of data with one entry per atom."""

Groups = Mapping[str, Mapping[str, Any]]
"""Data of a structure by group and key."""

SCALARS: dict[str, type] = {"bool": bool, "int": int, "float": float}

TAGS = (*SCALARS, "scalar", "array")
"""Kinds of values that a typed column can hold exactly."""


def group_of(record: Structure) -> Groups:
    """
    Data of a structure beside its geometry, by group.

    Parameters
    ----------
    record : Structure
        With all its data.

    Returns
    -------
    dict
        ``info``, ``key_value_pairs`` (of databases, otherwise an entry of info), ``results``
        (per structure), ``arrays`` and ``atom_results`` (per atom).
    """
    n = len(record.numbers)
    per_atom = {
        k: v
        for k, v in record.results.items()
        if k in ATOM_RESULTS and isinstance(v, np.ndarray) and v.shape[:1] == (n,)
    }
    info = record.info
    pairs = info.get("key_value_pairs")
    if type(pairs) is dict and pairs:
        info = {k: v for k, v in info.items() if k != "key_value_pairs"}
    else:
        pairs = {}
    return {
        "info": info,
        "key_value_pairs": pairs,
        "results": {k: v for k, v in record.results.items() if k not in per_atom},
        "arrays": record.arrays,
        "atom_results": per_atom,
    }


def put_together(
    groups: dict[str, dict[str, Any]],
    numbers: NDArray[np.int64],
    positions: NDArray[np.float64],
    cell: NDArray[np.float64],
    pbc: NDArray[np.bool_],
) -> Structure:
    """
    Structure from its geometry and its data by group; undoes `group_of`.

    Parameters
    ----------
    groups : dict
        As `group_of` returns it, empty groups left out or not.
    numbers : ndarray, shape (n_atoms,), int64
        Atomic numbers.
    positions : ndarray, shape (n_atoms, 3), float64
        In Å.
    cell : ndarray, shape (3, 3), float64
        Lattice vectors as rows, in Å.
    pbc : ndarray, shape (3,), bool
        Periodic directions.
    """
    info = groups.get("info", {})
    if groups.get("key_value_pairs"):
        info = {**info, "key_value_pairs": groups["key_value_pairs"]}
    results = {**groups.get("results", {}), **groups.get("atom_results", {})}
    return Structure(numbers, positions, cell, pbc, info, groups.get("arrays", {}), results)


def type_tag(value: Any) -> str | None:
    """
    Kind of a value that a typed column can hold exactly, or None.

    Parameters
    ----------
    value : object
        Of `info`, `arrays` or `results`.
    """
    kind = type(value)
    if kind is bool or kind is float:
        return kind.__name__
    if kind is int:
        return "int" if -(2**63) <= value < 2**63 else None
    if not isinstance(value, np.generic | np.ndarray) or value.dtype.kind not in "biuf":
        return None
    if value.dtype.itemsize > 8 or not value.dtype.isnative:
        return None
    return "scalar" if isinstance(value, np.generic) else "array"


def from_column(tag: str, value: Any) -> Any:
    """
    Value as it was before it went into a column.

    Parameters
    ----------
    tag : str
        What `type_tag` returned.
    value : ndarray or numpy scalar
        From the column.
    """
    if tag in SCALARS:
        return SCALARS[tag](value)
    return value if tag == "scalar" else np.array(value)


def dump_extra(
    groups: Groups,
    taken: Collection[tuple[str, str]],
    absent: Collection[str],
) -> str:
    """
    JSON of everything that has no column, and of which columns do not apply.

    Parameters
    ----------
    groups : dict
        All data of a structure, of `group_of`.
    taken : collection of tuple of str
        ``(group, key)`` of what columns hold.
    absent : collection of str
        Names of columns that hold nothing of this structure.

    Returns
    -------
    str
        Empty if there is nothing to say.

    Raises
    ------
    TypeError
        If a value is of a type that cannot be kept exactly.
    """
    rest: dict[str, Any] = {}
    for group, values in groups.items():
        left = {
            k: _encode(v, f"{group}[{k!r}]") for k, v in values.items() if (group, k) not in taken
        }
        if left:
            named = all(type(k) is str for k in left)
            rest[group] = left if named else [[_encode(k, group), v] for k, v in left.items()]
    if absent:
        rest["absent"] = list(absent)
    return json.dumps(rest) if rest else ""


def load_extra(text: str) -> tuple[dict[str, dict[str, Any]], frozenset[str]]:
    """
    What `dump_extra` wrote.

    Parameters
    ----------
    text : str
        JSON, or empty.

    Returns
    -------
    groups : dict
        Values by group and key.
    absent : frozenset of str
        Names of columns that do not apply.
    """
    if not text:
        return {}, frozenset()
    data = parsed(text)
    absent = frozenset(data.pop("absent", ()))
    groups = {}
    for group, values in data.items():
        pairs = values.items() if isinstance(values, dict) else values
        groups[group] = {_decode(k): _decode(v) for k, v in pairs}
    return groups, absent


def _encode(value: Any, where: str) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.generic) and value.dtype.kind in "biufU":
        return {"scalar": value.dtype.str, "data": value.item()}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufUO":
        data = value.ravel().tolist()
        if value.dtype.kind == "O":
            data = [_encode(v, where) for v in data]
        return {"array": value.dtype.str, "shape": list(value.shape), "data": data}
    if isinstance(value, Spacegroup):
        return {"spacegroup": [value.no, value.setting]}
    if type(value) is list:
        return {"list": [_encode(v, where) for v in value]}
    if type(value) is tuple:
        return {"tuple": [_encode(v, where) for v in value]}
    if type(value) is dict:
        return {"dict": [[_encode(k, where), _encode(v, where)] for k, v in value.items()]}
    raise TypeError(f"{where} is of type {type(value).__name__}, which cannot be stored exactly")


def _decode(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "scalar" in value:
        return np.array(value["data"], dtype=value["scalar"])[()]
    if "array" in value:
        return _decode_array(np.dtype(value["array"]), value["shape"], value["data"])
    if "spacegroup" in value:
        return Spacegroup(*value["spacegroup"])
    if "list" in value:
        return [_decode(v) for v in value["list"]]
    if "tuple" in value:
        return tuple(_decode(v) for v in value["tuple"])
    return {_decode(k): _decode(v) for k, v in value["dict"]}


def _decode_array(dtype: np.dtype[Any], shape: list[int], data: list[Any]) -> NDArray[Any]:
    if dtype.kind != "O":
        return np.array(data, dtype=dtype).reshape(shape)
    array = np.empty(len(data), dtype=object)
    # Not np.array: it would make further dimensions of lists in the list.
    for k, value in enumerate(data):
        array[k] = _decode(value)
    return array.reshape(shape)
