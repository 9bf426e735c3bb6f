"""Definition: all that a replica needs to construct the user's object, as opaque bytes.

Written where the graph was built, read on the replica, unread in between: the controller passes it on and knows its
digest. Applications among the arguments are written as names, and read as whatever the reader makes of a name
(handles); classes in importable modules are written as names too, so the replica must have the same code.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import cloudpickle

from remora.errors import CannotPickle, GraphError
from remora.graph import frameworks, reference, shared_actor
from remora.graph.application import Application
from remora.graph.describe import DeploymentSpec, GraphDescription
from remora.graph.shared_actor import Pickled
from remora.graph.stage import Stage
from remora.routing.config import RequestRouterConfig


@dataclass(frozen=True, slots=True)
class Definition:
    """One deployment, ready to be constructed."""

    deployment: str
    func_or_class: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] | None = None
    then: tuple[Stage, ...] = ()
    """Stages after it; handles stand in them for bound deployments."""
    router: RequestRouterConfig | None = None
    """For those who call it, who ask a replica."""
    logging: Mapping[str, Any] | None = None
    backpressure: Mapping[str, Any] | None = None
    """How those who call it refuse a request when its queue is full."""
    actors: tuple[Pickled, ...] = ()
    """Shared by its replicas."""


def dumps(spec: DeploymentSpec, graph: GraphDescription, logging: Mapping[str, Any] | None = None) -> bytes:
    """Return the deployment's definition; raise GraphError when it cannot be pickled.

    `logging` is the application's, for deployments that have none of their own.
    """
    bound = spec.application
    actors = shared_actor.of(spec.name, spec.options.deployment_actors)
    definition = Definition(
        spec.name,
        bound.deployment.func_or_class,
        tuple(bound.args),
        dict(bound.kwargs),
        tuple(bound.following),
        spec.options.request_router,
        spec.options.logging_config or logging,
        spec.options.backpressure_config,
        tuple(
            Pickled(actor.name, _written(actor, graph, f"{spec.name!r}: deployment actor {actor.name!r}"))
            for actor in actors
        ),
    )
    return _written(definition, graph, repr(spec.name))


def _written(value: Any, graph: GraphDescription, whose: str) -> bytes:
    buffer = io.BytesIO()
    try:
        _Writer(buffer, graph).dump(value)
    except GraphError:
        raise
    except Exception as error:
        raise CannotPickle(
            f"deployment {whose}: its class or bind arguments cannot be pickled: "
            f"{type(error).__name__}: {error}; create such objects in __init__ instead"
        ) from error
    return buffer.getvalue()


def loads(data: bytes, handle: Callable[[str], Any]) -> Definition:
    """Return the definition, with `handle(name)` in the place of each bound deployment. Imports the user's modules."""
    found = _Reader(io.BytesIO(data), handle).load()
    if not isinstance(found, Definition):
        raise GraphError(f"a definition was expected, and the bytes hold {type(found).__name__}")
    return found


class _Writer(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle is untyped
    """Writes Applications as names and decorated classes as references."""

    def __init__(self, file: io.BytesIO, graph: GraphDescription) -> None:
        super().__init__(file, protocol=5)
        self._graph = graph

    def persistent_id(self, obj: Any) -> str | None:
        return self._graph.name_of(obj) if isinstance(obj, Application) else None

    def reducer_override(self, obj: Any) -> Any:
        named = reference.of(obj) if isinstance(obj, type | FunctionType) else None
        if named:
            return reference.load, named
        kept = frameworks.reduced(obj)
        return super().reducer_override(obj) if kept is None else kept


class _Reader(pickle.Unpickler):
    """Reads names back as handles."""

    def __init__(self, file: io.BytesIO, handle: Callable[[str], Any]) -> None:
        super().__init__(file)
        self._handle = handle

    def persistent_load(self, pid: Any) -> Any:
        return self._handle(pid)
