"""The process's way to other replicas: set once by whoever starts the process, used by every handle in it."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from remora.errors import MisuseError
from remora.types import Caller

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Runtime:
    """A caller and the loop that it lives on."""

    caller: Caller
    loop: asyncio.AbstractEventLoop

    def is_here(self) -> bool:
        """True on the caller's own loop: calls need no thread hop."""
        try:
            return asyncio.get_running_loop() is self.loop
        except RuntimeError:
            return False

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work that needs the caller's loop, from whichever loop this is."""
        if self.is_here():
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))


_runtime: Runtime | None = None
_local: dict[str, Runtime] = {}
"""By application: those that run in this very process, for tests."""


def set_caller(caller: Caller | None, loop: asyncio.AbstractEventLoop | None = None) -> None:
    """Let handles in this process call through `caller`, which lives on `loop`; None takes it away."""
    global _runtime
    _runtime = Runtime(caller, loop or asyncio.get_running_loop()) if caller is not None else None


def set_local(application: str, runtime: Runtime | None) -> None:
    """Let handles to the application call it in this process; None takes that back."""
    if runtime is None:
        _local.pop(application, None)
    else:
        _local[application] = runtime


def current(application: str = "") -> Runtime:
    """Return what calls of the application go through, or raise MisuseError."""
    if _local and (local := _local.get(application)) is not None:
        return local
    found = _runtime or _visiting()
    if found is None:
        raise MisuseError(
            "handles cannot call from this process, as nothing serves here: call them in a deployment's methods, "
            "after serve.run, or in a task of the same Ray cluster"
        )
    return found


def _visiting() -> Runtime | None:
    """Return what tasks of Ray call through; None in a process without Ray."""
    if "ray" not in sys.modules:
        return None
    # By name: what calls through sockets alone must not know of Ray.
    visitor = importlib.import_module("remora.visitor")
    found: tuple[Caller, asyncio.AbstractEventLoop] | None = visitor.caller()
    return Runtime(*found) if found is not None else None
