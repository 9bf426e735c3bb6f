"""Ray's object references, where calls meet them: as arguments, and as what a response may be turned into.

A reference that is an argument itself is replaced by its object before the call is sent, as in Ray Serve; one inside of
a list stays a reference, which the other side may await. Nothing here loads Ray: without it there are no references.
"""

from __future__ import annotations

import copyreg
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any, Protocol

from remora.errors import MisuseError


def is_reference(value: Any) -> bool:
    """Return whether it is an ObjectRef of Ray's; without Ray in this process nothing is."""
    ray = sys.modules.get("ray")
    return ray is not None and isinstance(value, getattr(ray, "ObjectRef", ()))


def refer(value: Any) -> Any:
    """Return an ObjectRef to the value, put into Ray's store; raise MisuseError where no Ray is.

    Blocks for as long as it takes to copy the value.
    """
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        raise MisuseError("a response becomes a reference of Ray's where Ray runs only, and here it does not")
    return ray.put(value)


class Items(Protocol):
    """What is iterated over with `async for` in async code, and with `for` outside of it."""

    async def __anext__(self) -> Any:
        """Return the next item."""

    def __next__(self) -> Any:
        """Wait in this thread for the next item."""


class ReferenceGenerator:
    """A stream of ObjectRefs in the place of Ray's ObjectRefGenerator: each item goes into Ray's store as it comes."""

    def __init__(self, items: Items) -> None:
        self._items = items

    def __aiter__(self) -> AsyncIterator[Any]:
        """Return itself."""
        return self

    async def __anext__(self) -> Any:
        """Return a reference to the next item."""
        return refer(await self._items.__anext__())

    def __iter__(self) -> Iterator[Any]:
        """Return itself."""
        return self

    def __next__(self) -> Any:
        """Wait in this thread for the next item, and return a reference to it."""
        return refer(next(self._items))


def teach_pickle() -> None:
    """Let references travel in what is pickled from now on, with their owner: without it nobody finds the object."""
    ray = sys.modules.get("ray")
    reference = getattr(ray, "ObjectRef", None)
    if reference is not None and reference not in copyreg.dispatch_table:
        copyreg.pickle(reference, _reduced)


def _reduced(reference: Any) -> tuple[Any, ...]:
    ray: Any = sys.modules["ray"]
    if not ray.is_initialized():
        raise MisuseError("a reference of Ray's cannot be passed on after ray.shutdown()")
    # Ray's own pickler knows the reference itself, and does not come here again.
    return ray.cloudpickle.loads, (ray.cloudpickle.dumps(reference),)
