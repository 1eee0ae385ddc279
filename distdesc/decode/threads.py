"""Linear algebra with one thread, whatever else the process does."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[Any]:
    """
    Keep BLAS to one thread for a while.

    With several it rounds differently, so that results would depend on the machine; and for
    matrices as small as those of decoding, threads that wait for each other take far longer.
    """
    limited: AbstractContextManager[Any] = _libraries().limit(limits=1, user_api="blas")
    return limited


@lru_cache(maxsize=1)
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()  # it looks for libraries, which takes as long as decoding
