"""JSON that may be used at once and may be awaited: `request.json()["a"]`, `await request.json()`, and both mixed.

Pure. Starlette's `Request.json` is a coroutine function; many programs forget the `await`, or write it in front of
the item: ``await request.json()["name"]``. Here the parsed value is a subclass of its own type that can be awaited as
well. Awaiting gives the plain value; what is taken out of an unawaited dict or list can be awaited in turn. bool and
None have no subclasses: at the top of a body, and where code that takes one out of it awaits it on the spot, a stand-in
takes their place; else they are themselves.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Generator, Iterator
from types import FrameType
from typing import Any

from remora.compat.reawait import is_awaited


class Awaitable:
    """Mixin of a builtin type: awaiting gives the plain value, and so do pickling and copying."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, Any]:
        """Return the plain value, without waiting."""
        yield from ()
        return plain(self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Travel as the plain value."""
        return copy.copy, (plain(self),)


class Text(Awaitable, str):
    """A str that can be awaited."""

    __slots__ = ()


class Integer(Awaitable, int):
    """An int that can be awaited."""

    __slots__ = ()


class Real(Awaitable, float):
    """A float that can be awaited."""

    __slots__ = ()


class Array(Awaitable, list[Any]):
    """A list that can be awaited, and whose items can."""

    __slots__ = ()

    def __getitem__(self, index: Any) -> Any:
        """Return the item, or the list of items, to be used or awaited."""
        return taken(super().__getitem__(index), sys._getframe(1))

    def __iter__(self) -> Iterator[Any]:
        """Iterate over items that can be awaited."""
        return map(awaitable, super().__iter__())


class MissingItem(KeyError):
    """The handler asked the body for something that the client did not send: answered with 400."""

    def __str__(self) -> str:
        """Say what is missing."""
        return f"the request's JSON has no {self.args[0]!r}"


class Object(Awaitable, dict[str, Any]):
    """A dict that can be awaited, and whose values can."""

    __slots__ = ()

    def __getitem__(self, key: Any) -> Any:
        """Return the value, to be used or awaited; raise MissingItem."""
        if key not in self:
            raise MissingItem(key)
        return taken(super().__getitem__(key), sys._getframe(1))

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the value or the default, to be used or awaited."""
        return taken(super().get(key, default), sys._getframe(1))


class Constant:
    """Stands for true, false or null at the top of a body: to be awaited, compared, or asked for its truth."""

    __slots__ = ("_value",)

    def __init__(self, value: bool | None) -> None:
        self._value = value

    def __await__(self) -> Generator[Any, Any, bool | None]:
        """Return the plain value, without waiting."""
        yield from ()
        return self._value

    def __bool__(self) -> bool:
        """Be as true as the value."""
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        """Equal what the value equals."""
        return self._value == (other._value if isinstance(other, Constant) else other)

    def __hash__(self) -> int:
        """Hash as the value."""
        return hash(self._value)

    def __repr__(self) -> str:
        """Look like the value."""
        return repr(self._value)


def awaitable(value: Any) -> Any:
    """Return the value as one that can also be awaited, where its type allows that; True, False and None stay."""
    match value:
        case Awaitable() | bool() | None:
            return value
        case str():
            return Text(value)
        case int():
            return Integer(value)
        case float():
            return Real(value)
        case list():
            return Array(value)
        case dict():
            return Object(value)
        case _:
            return value


def taken(value: Any, frame: FrameType) -> Any:
    """Return an item of a body to the code in this frame, to be used or awaited."""
    if value is None or isinstance(value, bool):
        return Constant(value) if is_awaited(frame) else value
    return awaitable(value)


def body(value: Any) -> Any:
    """Return a whole parsed body, to be used or awaited."""
    return Constant(value) if value is None or isinstance(value, bool) else awaitable(value)


def plain(value: Any) -> Any:
    """Return the value as its builtin type."""
    match value:
        case Text():
            return str.__str__(value)
        case Integer():
            return int(value)
        case Real():
            return float(value)
        case Array():
            return list(list.__iter__(value))
        case Object():
            return dict(value.items())
        case Constant():
            return value._value
        case _:
            return value
