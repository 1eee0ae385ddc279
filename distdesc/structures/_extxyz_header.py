"""Header lines of extended XYZ that are so plain that there is one way only to read them."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

PLAIN_COLUMNS = "species:S:1:pos:R:3"
"""What there is without a ``Properties``."""

# Words and key=value, values bare or in double quotes; nothing nested or escaped, and no = in
# quotes, so that what has a meaning for the geometry cannot stand in the value of another key.
_QUOTED = rb'"[ !#-<>-\[\]-~]*+"'
_BARE = rb"[!#-&(-<>-Z^-z|~]++"
_VALUE = rb"(?:" + _QUOTED + rb"|" + _BARE + rb")"
_PLAIN = re.compile(rb"[ \t]*+(?:[\w.+:/-]++(?:=" + _VALUE + rb")?+(?:[ \t]++|$))*+")

_COLUMN = rb"\w+:[SRIL]:[1-9]\d?"
_NUMBER = rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_COLUMNS = re.compile(
    rb'(?<![!-~])Properties="?(' + _COLUMN + rb"(?::" + _COLUMN + rb')*+)"?(?![!-~])'
)
_LATTICE = re.compile(rb'(?<![!-~])Lattice="\s*(' + rb"\s+".join([_NUMBER] * 9) + rb')\s*"')
_PBC = re.compile(rb'(?<![!-~])pbc="([TF]) ([TF]) ([TF])"')


def plain_header(line: bytes) -> tuple[str, NDArray[np.float64], NDArray[np.bool_]] | None:
    """
    What a header says of the geometry, if it is plain.

    Parameters
    ----------
    line : bytes
        Without the line break.

    Returns
    -------
    tuple or None
        Columns, as ``Properties`` names them; cell with vectors as rows, shape (3, 3), in Å;
        periodicity, shape (3,). None if another parser has to say.
    """
    if not _PLAIN.fullmatch(line):
        return None
    found = []
    for name, pattern in ((b"Properties", _COLUMNS), (b"Lattice", _LATTICE), (b"pbc", _PBC)):
        match = pattern.search(line)
        if line.count(name) != (match is not None):
            return None
        found.append(match)
    columns, lattice, periodic = found
    values = lattice[1].split() if lattice else [0.0] * 9
    cell = np.array([float(v) for v in values]).reshape(3, 3)
    pbc = np.full(3, lattice is not None)
    if periodic is not None:
        pbc[:] = [v == b"T" for v in periodic.groups()]
    return (columns[1].decode() if columns else PLAIN_COLUMNS), cell, pbc
