"""What a stage after `.then()` gets: the value of the stage before, in the form that its code expects.

A plain function takes it as it is. Code written for HTTP takes a request and reads `request.json()["data"]`: there the
value of the stage before stands, or, when that is a dict, its own items do. So a str, number, list, dict, tuple or
bytes arrives as a subclass of its type that has `.json()` too; what has no subclasses arrives as itself or as a
request, by what the parameter is called and annotated with.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from types import CodeType
from typing import Any, Final, get_type_hints

from starlette.requests import HTTPConnection

from remora.compat import json as compat_json
from remora.compat.request import BadJson, Request, is_json, parse
from remora.types import Scope

KEY: Final = "data"
"""The key under which a stage finds the value of the stage before in its request's JSON."""


@dataclass(frozen=True, slots=True)
class StageInput:
    """The one argument of a call to a stage."""

    value: Any


class Form(Enum):
    """How a stage's code wants its input."""

    VALUE = "value"
    """As it is."""
    REQUEST = "request"
    """As a Request, and nothing else."""
    EITHER = "either"
    """It may use the value, or `.json()` of it."""


def form_of(function: Callable[..., Any]) -> Form:
    """Return how the function wants the input, from its first parameter and from whether it mentions `json`."""
    first = _first_parameter(function)
    if first is None:
        return Form.VALUE
    annotation = _annotation(function, first)
    if annotation not in (inspect.Parameter.empty, Any):
        return Form.REQUEST if _is_request(annotation) else Form.VALUE
    if first.name in ("request", "req", "http_request") or _mentions_json(function):
        return Form.EITHER
    return Form.VALUE


def shaped(given: StageInput, form: Form) -> Any:
    """Return the stage's input in the form that its code wants."""
    value = given.value
    if form is Form.VALUE and isinstance(value, OpenRequest):
        return value.content()
    if form is Form.VALUE or isinstance(value, Request):
        return value
    if form is Form.EITHER:
        either = _subclassed(value)
        if either is not None:
            return either
        if hasattr(value, "json"):
            return value
    return StageRequest(value)


class OpenRequest(Request):
    """The HTTP request at the entrance of a graph: code that takes a value gets its content instead."""

    @classmethod
    async def of(cls, request: Request) -> OpenRequest:
        """Return the request, with its body read, as one that is open."""
        body = await request.body()
        return cls._arrived(request.scope, body)

    @classmethod
    def _arrived(cls, scope: Scope, body: bytes) -> OpenRequest:
        made = cls(dict(scope))
        made._body = body
        return made

    def content(self) -> Any:
        """Return the body's JSON, or else the body as text or bytes; the query parameters when there is no body.

        Raises BadJson when the body says that it is JSON, and is not.
        """
        if not self._body:
            return dict(self.query_params)
        if is_json(self.headers.get("content-type", "")):
            return parse(self._body)
        try:
            return parse(self._body)
        except BadJson:
            try:
                return self._body.decode()
            except UnicodeDecodeError:
                return self._body

    def __reduce__(self) -> Any:
        """Travel with the body."""
        _, (scope, body) = super().__reduce__()
        return OpenRequest._arrived, (scope, body)


class StageRequest(Request):
    """A request whose JSON is the value of the stage before."""

    def __init__(self, value: Any) -> None:
        """Make a request of the value."""
        super().__init__(
            {
                "type": "http",
                "http_version": "1.1",
                "method": "POST",
                "scheme": "http",
                "path": "/",
                "raw_path": b"/",
                "root_path": "",
                "query_string": b"",
                "headers": [(b"content-type", b"application/json")],
            }
        )
        self.value = value

    def json(self) -> Any:
        """Return the value as a request's body."""
        return body(self.value)

    async def body(self) -> bytes:
        """Return the value as text: itself if it is bytes or a str, else JSON."""
        if isinstance(self.value, bytes):
            return self.value
        return (self.value if isinstance(self.value, str) else json.dumps(self.value)).encode()

    def __reduce__(self) -> Any:
        """Travel as the value."""
        return StageRequest, (self.value,)


class Body(compat_json.Object):
    """The JSON of a stage's request: the items of a dict, and under any other key the value as a whole."""

    __slots__ = ("_whole",)
    _whole: Any

    def __getitem__(self, key: Any) -> Any:
        """Return the item, or the value of the stage before; an unknown key of a dict is an error."""
        return compat_json.taken(self._found(key), sys._getframe(1))

    def get(self, key: Any, default: Any = None) -> Any:
        """Return as [] does, or the default."""
        try:
            return compat_json.taken(self._found(key), sys._getframe(1))
        except KeyError:
            return default

    def _found(self, key: Any) -> Any:
        if key in self:
            return dict.__getitem__(self, key)
        if isinstance(key, str) and (key == KEY or not isinstance(self._whole, dict)):
            return self._whole
        raise KeyError(key)

    def __await__(self) -> Any:
        """Return itself: the keys work after `await` too."""
        yield from ()
        return self


class BodyArray(compat_json.Array):
    """The JSON of a stage's request when the value is a list: its items by number, itself under any key."""

    __slots__ = ()

    def __getitem__(self, index: Any) -> Any:
        """Return the item, or the list itself for a key."""
        return compat_json.Array(self) if isinstance(index, str) else super().__getitem__(index)

    def __await__(self) -> Any:
        """Return itself: keys work after `await` too."""
        yield from ()
        return self


def body(value: Any) -> Any:
    """Return what `request.json()` is for a stage whose predecessor returned the value."""
    if isinstance(value, list):
        return BodyArray(value)
    found = Body(value if isinstance(value, dict) else {KEY: value})
    found._whole = value
    return found


class _WithJson:
    """Mixin: a value that can also be asked for `.json()`."""

    __slots__ = ()
    kind: type

    def json(self) -> Any:
        """Return the value as a request's body."""
        return body(self.kind(self))

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Travel as the plain value."""
        return self.kind, (self.kind(self),)


def _with_json(kind: type) -> type:
    slots = {} if kind in (int, bytes, tuple) else {"__slots__": ()}
    return type(f"Stage{kind.__name__.title()}", (_WithJson, kind), {**slots, "kind": kind, "__module__": __name__})


_SUBCLASSES: Final = {kind: _with_json(kind) for kind in (str, int, float, list, dict, bytes, tuple)}


def _subclassed(value: Any) -> Any:
    """Return the value as its subclass with `.json()`; None when its type has none."""
    made = _SUBCLASSES.get(type(value))
    return None if made is None else made(value)


def _first_parameter(function: Callable[..., Any]) -> inspect.Parameter | None:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return parameters[0] if parameters and parameters[0].kind in positional else None


def _annotation(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """Return what the parameter is annotated with; its text where that cannot be resolved."""
    target = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004
    try:
        return get_type_hints(target).get(parameter.name, parameter.annotation)
    except Exception:  # noqa: BLE001 - hints are user code: names that exist only for type checkers, and worse
        return parameter.annotation


def _is_request(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return annotation.strip("\"'").rpartition(".")[2] == "Request"
    return inspect.isclass(annotation) and issubclass(annotation, HTTPConnection)


def _mentions_json(function: Callable[..., Any]) -> bool:
    """Return whether the code, or code defined inside it, names an attribute `json`."""
    code = getattr(inspect.unwrap(getattr(function, "__func__", function)), "__code__", None)
    return code is not None and _names_json(code)


def _names_json(code: CodeType) -> bool:
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return "json" in code.co_names or any(_names_json(part) for part in inner)
