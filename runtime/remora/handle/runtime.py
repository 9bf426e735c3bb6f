"""The process's way to other replicas: set once by whoever starts the process, used by every handle in it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from remora.errors import RemoraError
from remora.types import Caller


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


_runtime: Runtime | None = None


def set_caller(caller: Caller | None, loop: asyncio.AbstractEventLoop | None = None) -> None:
    """Let handles in this process call through `caller`, which lives on `loop`; None takes it away."""
    global _runtime
    _runtime = Runtime(caller, loop or asyncio.get_running_loop()) if caller is not None else None


def current() -> Runtime:
    """Return the process's runtime, or raise RemoraError."""
    if _runtime is None:
        raise RemoraError(
            "handles cannot call from this process, as nothing serves here: call them in a deployment's methods, "
            "or after serve.run"
        )
    return _runtime
