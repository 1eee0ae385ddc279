"""Where the structures of a run come from: the source, read again when it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from distdesc.campaign import Campaign
from distdesc.errors import StoreError
from distdesc.place import Place
from distdesc.store.written import WrittenPlan
from distdesc.structures.index import INDEX, SourceIndex
from distdesc.structures.places import Places
from distdesc.structures.records import to_atoms

if TYPE_CHECKING:
    from distdesc.structures.source import Structure


@dataclass(frozen=True)
class Origin:
    """
    Source of a run, by the positions that structures have in the store.

    Parameters
    ----------
    path : Place
        The store.
    plan : WrittenPlan
        Its plan, which names the source.
    """

    path: Place
    plan: WrittenPlan

    def atoms(self, structure: int) -> Any:
        """
        One structure as ``ase.Atoms``, with its info, energy and forces if it has them.

        Parameters
        ----------
        structure : int
            Position in the source.

        Raises
        ------
        StoreError
            If there is no such structure, it cannot be read, or the source has changed.
        SourceError
            If the source cannot be opened.
        """
        self._check(structure)
        (record,) = self.records(structure, structure + 1)
        if record is None:
            raise StoreError(f"structure {structure} cannot be read: {self._problem(structure)}")
        return to_atoms(record)

    def records(self, start: int, stop: int) -> list[Structure | None]:
        """
        Structures with all their data; None for one that cannot be read.

        Parameters
        ----------
        start, stop : int
            Half-open range of positions in the source.

        Raises
        ------
        StoreError
            If the source has changed.
        SourceError
            If the source cannot be opened.
        """
        return list(
            self._campaign.source.read(self._index, start, stop, records=True).records or ()
        )

    def place(self, structure: int) -> tuple[str, int]:
        """
        File of a structure, and its position among the structures of that file.

        Parameters
        ----------
        structure : int
            Position in the source.

        Raises
        ------
        StoreError
            If there is no such structure, or the source does not consist of files.
        """
        self._check(structure)
        if self._places is None:
            raise StoreError(f"the source of {self.path} does not consist of files")
        return self._places.find(structure)

    def _check(self, structure: int) -> None:
        n = self.plan.n_structures
        if not 0 <= structure < n:
            raise StoreError(f"structure must be in [0, {n}), got {structure}")

    def _problem(self, structure: int) -> str:
        batch = self._campaign.source.read(self._index, structure, structure + 1)
        return next(iter(batch.problems.values()), "no reason is known")

    @cached_property
    def _campaign(self) -> Campaign:
        return Campaign.from_dict(self.plan.campaign)

    @cached_property
    def _index(self) -> SourceIndex:
        index = SourceIndex.load(self.path / INDEX)
        changed = index.changed_file()
        if changed is not None:
            raise StoreError(f"{changed}: its structures are not those of {self.path}")
        return index

    @cached_property
    def _places(self) -> Places | None:
        return Places.of(self._index)
