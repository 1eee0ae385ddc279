"""Which files a path, a list of paths or a glob stands for, and compressed ones unpacked."""

from __future__ import annotations

import bz2
import glob
import gzip
import lzma
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import xxhash

from distdesc.errors import CampaignError, SourceError
from distdesc.place import place

UNPACKERS: dict[str, Callable[[IO[bytes]], Any]] = {
    ".gz": lambda packed: gzip.GzipFile(fileobj=packed),
    ".xz": lzma.LZMAFile,
    ".bz2": bz2.BZ2File,
}
"""How to read compressed files, by suffix."""

SERVERS = ("postgresql://", "postgres://")
"""How paths begin that are no files."""

BLOCK = 2**22


def check_path(path: Any) -> None:
    """
    Refuse a ``path`` that is neither text nor a list of texts.

    Parameters
    ----------
    path : object
        Field of a source.

    Raises
    ------
    CampaignError
        If it is anything else, or empty.
    """
    paths = path if isinstance(path, tuple) else (path,)
    if not paths or not all(isinstance(p, str) and p for p in paths):
        raise CampaignError(f"path must be a file, a glob or a list of those, got {path!r}")


def check_store_path(path: Any) -> None:
    """
    Refuse a ``path`` that cannot be that of a store.

    Parameters
    ----------
    path : object
        Field of a source.

    Raises
    ------
    CampaignError
        If it is no text, or names no bucket where it should.
    """
    if not isinstance(path, str) or not path:
        raise CampaignError(f"path must be the folder of a store, got {path!r}")
    place(path)


def find_files(path: str | Sequence[str], pattern: str | None = None) -> list[Path]:
    """
    Files that a path stands for; globs and folders in sorted order, lists in theirs.

    Parameters
    ----------
    path : str or sequence of str
        File, glob, or list of those.
    pattern : str, optional
        What to take from a folder, such as ``"*.aselmdb"``; without it, folders are refused.

    Raises
    ------
    SourceError
        If something is missing, or nothing matches.
    """
    if not isinstance(path, str):
        return [file for p in path for file in find_files(p, pattern)]
    one = Path(path).expanduser()
    if one.is_file():
        return [one]
    if one.is_dir():
        found = sorted(one.glob(pattern)) if pattern else []
        if not found:
            wanted = f"has no {pattern}" if pattern else "is a folder, not a file; use a glob"
            raise SourceError(f"{path} {wanted}")
        return found
    matches = [Path(p) for p in sorted(glob.glob(str(one), recursive=True))]
    files = [p for p in matches if p.is_file()]
    if not files:
        raise SourceError(f"{path} does not exist, or no file matches it")
    return files


def is_compressed(file: Path) -> bool:
    """
    Whether a file is compressed, by its suffix.

    Parameters
    ----------
    file : pathlib.Path
        Its name.
    """
    return file.suffix.lower() in UNPACKERS


def digest_of_file(file: Path) -> str:
    """
    Digest of what is in a file.

    Parameters
    ----------
    file : pathlib.Path
        The file.
    """
    digest = xxhash.xxh3_128()
    with file.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
    return str(digest.hexdigest())


def unpack(file: Path, target: Path, progress: Callable[[int], None]) -> str | None:
    """
    Unpack a compressed file as far as it is sound.

    Parameters
    ----------
    file : pathlib.Path
        The compressed file.
    target : pathlib.Path
        Where to; its folder is made.
    progress : callable
        Told how many bytes of `file` are done.

    Returns
    -------
    str or None
        What is wrong with the file, if anything.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial")
    with file.open("rb") as packed, partial.open("wb") as plain:
        stream = UNPACKERS[file.suffix.lower()](packed)
        while True:
            try:
                # Not read(): what stands before the damage is delivered, not thrown away.
                block = stream.read1(BLOCK)
                damage = None
            except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
                block, damage = b"", str(error)
            if not block:
                break
            plain.write(block)
            progress(packed.tell())
        written = plain.tell()
    partial.rename(target)
    return damage and f"{file} is damaged, {written} bytes could be unpacked: {damage}"
