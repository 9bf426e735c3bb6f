"""Objects of web frameworks that pickle stumbles over, and how they travel by value.

A program in a script has its FastAPI application in `__main__`, so it cannot be imported elsewhere. FastAPI keeps a
lock beside the routes of every included router, which pickle refuses; Starlette's State looks every unknown attribute
up in an attribute of its own, which is not there yet while it is unpickled. Locks arrive as new ones. Locks of the
user's own objects are refused as before: whether a copy of what they guard is worth anything is for the user to say.
"""

from __future__ import annotations

import copyreg
from collections.abc import Mapping, Sequence
from threading import Lock, RLock
from typing import Any, Final

_FRAMEWORKS: Final = ("fastapi.", "starlette.")
_LOCK, _RLOCK = type(Lock()), type(RLock())


def reduced(obj: Any) -> tuple[Any, ...] | None:
    """Return what pickle makes of such an object of a framework; None for any other object."""
    kind = type(obj)
    if not kind.__module__.startswith(_FRAMEWORKS) or isinstance(obj, type):
        return None
    attributes = getattr(obj, "__dict__", {})
    found = {name: isinstance(value, _RLOCK) for name, value in attributes.items() if isinstance(value, _LOCK | _RLOCK)}
    if not found and "__getattr__" not in dir(kind):
        return None
    rest = {name: value for name, value in attributes.items() if name not in found}
    return copyreg.__newobj__, (kind,), (rest, found), None, None, restore  # type: ignore[attr-defined]


def restore(obj: Any, state: Sequence[Mapping[str, Any]]) -> None:
    """Give the object its attributes, and new locks."""
    rest, found = state
    obj.__dict__.update(rest)
    obj.__dict__.update({name: RLock() if reentrant else Lock() for name, reentrant in found.items()})
