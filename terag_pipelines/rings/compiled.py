"""How the loops of this room are compiled to machine code, once for a machine: the code is kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(function: Loop) -> Loop:
    """The function, compiled when it is first called; it runs beside other threads."""
    return cast(Loop, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
