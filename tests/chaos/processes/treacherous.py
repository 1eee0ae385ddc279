"""A descriptor that really crashes, hangs, or eats memory, at structures with a certain element."""

from __future__ import annotations

import ctypes
import os
import random
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from distdesc.descriptors.moment_invariants import MomentInvariants


def segfault(scratch: Path) -> None:
    ctypes.string_at(0)


def abort(scratch: Path) -> None:
    os.abort()


def eat(scratch: Path) -> None:
    eaten = []
    while True:
        eaten.append(np.ones(2**23))


def hang(scratch: Path) -> None:
    """Hold the interpreter, as a library does that never comes back."""
    ctypes.PyDLL(None).pause()


def leave(scratch: Path) -> None:
    os._exit(3)


def segfault_once(scratch: Path) -> None:
    """Crash the first process only: a bit of bad luck."""
    try:
        (scratch / "crashed-once").touch(exist_ok=False)
    except FileExistsError:
        return
    ctypes.string_at(0)


HARM = {2: segfault, 10: eat, 18: hang, 36: abort, 54: leave, 86: segfault_once}
"""What is done at an environment with a neighbour of that element: He, Ne, Ar, Kr, Xe, Rn."""


@dataclass(frozen=True)
class Treacherous:
    """
    Moment invariants, and harm.

    Parameters
    ----------
    scratch : str
        Folder for what must be remembered beyond the death of a process.
    order, cutoff, elements
        Of the moment invariants.
    """

    scratch: str = ""
    order: int = 3
    cutoff: float = 4.0
    elements: tuple[str, ...] = ("H", "C", "N", "O", "He", "Ne", "Ar", "Kr", "Xe", "Rn")

    @cached_property
    def _good(self) -> MomentInvariants:
        return MomentInvariants(order=self.order, cutoff=self.cutoff, elements=self.elements)

    @property
    def accepted_numbers(self):
        return self._good.accepted_numbers

    @property
    def parity_odd(self):
        return self._good.parity_odd

    @property
    def n_features(self):
        return self._good.n_features

    def feature_names(self):
        return self._good.feature_names()

    def warm_up(self):
        self._good.warm_up()

    def compute(self, environments):
        # Of the environment, not of the campaign: it changes no result.
        time.sleep(random.random() * float(os.environ.get("DISTDESC_TEST_PAUSE", "0")))
        for number in np.unique(environments.numbers):
            HARM.get(int(number), lambda scratch: None)(Path(self.scratch))
        return self._good.compute(environments)

    def jacobian(self, environments):
        return self._good.jacobian(environments)
