"""Servicers: which gRPC methods there are and how their messages are read, as generated code registers them.

A generated ``add_…Servicer_to_server(servicer, server)`` is called with a servicer that has every method and a server
that only listens. Which functions those are is said by ``grpc_servicer_functions``; they are imported here, on the
replica, and nowhere else.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from remora.errors import RemoraError


class ServicerError(RemoraError):
    """A servicer function cannot be imported, or is none."""


class _AnyServicer:
    """Has every method that generated code asks for."""

    def __call__(self, *_: Any) -> None:
        """A method of a service may have this name, too."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_: None


class _Listening:
    """A server that remembers what is registered."""

    def __init__(self) -> None:
        self.methods: dict[str, Any] = {}
        self._generic: list[Any] = []

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        self._generic += handlers

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        self.methods |= {f"/{service}/{name}": handler for name, handler in handlers.items()}

    def services(self) -> list[str]:
        """Return the full names of the services, in order."""
        named = {path.split("/")[1] for path in self.methods}
        return sorted(named | {name for each in self._generic if (name := getattr(each, "service_name", str)())})

    def find(self, path: str) -> Any:
        """Return the handler of a method, or None."""
        if path in self.methods:
            return self.methods[path]
        asked = _Asked(path)
        for generic in self._generic:
            found = generic.service(asked)
            if found is not None:
                return found
        return None


class _Asked:
    """`grpc.HandlerCallDetails` of a method."""

    invocation_metadata = ()

    def __init__(self, method: str) -> None:
        self.method = method


@cache
def _listening(functions: tuple[str, ...]) -> _Listening:
    listening = _Listening()
    for path in functions:
        module, _, name = path.replace(":", ".").rpartition(".")
        try:
            register = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise ServicerError(f"gRPC servicer function {path!r} cannot be imported: {error}") from error
        register(_AnyServicer(), listening)
    return listening


def find(functions: Sequence[str], path: str) -> Any:
    """Return the `grpc.RpcMethodHandler` of ``/package.Service/Method``, or None; raises ServicerError."""
    return _listening(tuple(functions)).find(path)


def services(functions: Sequence[str]) -> list[str]:
    """Return the full names of the services that the functions register; raises ServicerError."""
    return _listening(tuple(functions)).services()
