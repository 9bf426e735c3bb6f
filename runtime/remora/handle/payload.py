"""Values as they cross between replicas: cloudpickle, protocol 5, large buffers out of band."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from typing import Any, Final

import cloudpickle

from remora.handle import references
from remora.types import Payload

_PLAIN: Final = frozenset({str, bytes, int, float, bool, type(None)})


def dumps(value: Any) -> Payload:
    """Return the value pickled; raises whatever its pickling raises."""
    if type(value) in _PLAIN:
        # Nothing in it can need cloudpickle, which costs several times as much to set up.
        return Payload(pickle.dumps(value, protocol=5))
    references.teach_pickle()
    buffers: list[pickle.PickleBuffer] = []
    data = cloudpickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    return Payload(data, [buffer.raw() for buffer in buffers])


def loads(payload: Payload) -> Any:
    """Return the value. Only for payloads of a peer that has proved that it holds the key."""
    return pickle.loads(payload.data, buffers=payload.buffers)  # noqa: S301 - after the handshake, from a replica


def dumps_call(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Payload:
    """Return a call's arguments pickled."""
    if not kwargs and all(type(arg) in _PLAIN for arg in args):
        return Payload(pickle.dumps((tuple(args), {}), protocol=5))
    return dumps((tuple(args), dict(kwargs)))


def loads_call(payload: Payload) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return a call's arguments."""
    args, kwargs = loads(payload)
    return args, kwargs
