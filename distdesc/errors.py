"""
Every exception that distdesc raises on purpose.

::

    DistdescError
    ├── CampaignError     a job file, a flag or a hyper-parameter is wrong
    ├── SourceError       an input cannot be opened, indexed or read, or has changed
    │   └── SourceBusyError   … because another program holds it: waiting may help
    ├── StructureError    one structure cannot be used: quarantined, the campaign goes on
    ├── StoreError        a store is damaged, foreign, or not what the campaign expects
    └── RunError          a run had to stop; what is done is kept, and it can be resumed
        └── LastingError      … for a reason that another try would meet again

A message says what, where, got and accepted, in that order.
"""

from __future__ import annotations

from errno import EACCES, EPERM, EROFS


class DistdescError(Exception):
    """Base of all errors raised on purpose."""


class CampaignError(DistdescError):
    """A job file, a flag or a hyper-parameter is wrong."""


class SourceError(DistdescError):
    """An input cannot be opened, indexed or read, or has changed."""


class SourceBusyError(SourceError):
    """An input is held by another program, such as a writer that has locked it."""


class StructureError(DistdescError):
    """
    Structures that cannot be used; they are quarantined and the campaign goes on.

    Parameters
    ----------
    reasons : dict of int to str
        Why, by position of the structure in the batch that was being computed.
    """

    def __init__(self, reasons: dict[int, str]) -> None:
        super().__init__("; ".join(f"structure {k}: {v}" for k, v in reasons.items()))
        self.reasons = reasons

    def __reduce__(self) -> tuple[type[StructureError], tuple[dict[int, str]]]:
        return type(self), (self.reasons,)


class StoreError(DistdescError):
    """A store is damaged, foreign, or not what the campaign expects."""


class RunError(DistdescError):
    """A run had to stop; what is done is kept, and it can be resumed."""


class LastingError(RunError):
    """A run had to stop, and would again: somebody has to change something first."""


def is_denied(error: BaseException | None) -> bool:
    """
    Whether the system forbade something, as it would again; disks, by contrast, get free.

    Parameters
    ----------
    error : BaseException, optional
        Any error.
    """
    return isinstance(error, OSError) and error.errno in (EACCES, EPERM, EROFS)
