"""Splitting: which of two revisions a request goes to. Pure; chance is an argument.

In this order: a rule about a header or cookie that fits; the cookie by which a client is known again; the weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from remora_api.wire import ApplicationRouting

COOKIE: Final = b"cookie"
ID_BYTES: Final = 12
Header = tuple[bytes, bytes]


class Share(NamedTuple):
    """Which controller of the application's list, and the cookie that its client is given, if any."""

    endpoint: int
    cookie: bytes = b""


class Split:
    """How the requests of one application are shared. Made once for each routing."""

    __slots__ = ("_bounds", "_readable", "_rules", "_sticky", "index_of")

    def __init__(self, application: ApplicationRouting) -> None:
        endpoints = application.controllers
        self.index_of = {endpoint.revision: index for index, endpoint in enumerate(endpoints) if endpoint.revision}
        """Where each revision is in the list of controllers."""
        self._bounds = _bounds([endpoint.weight for endpoint in endpoints])
        self._rules = [
            (rule.header.encode(), rule.cookie.encode(), rule.value, self.index_of[rule.revision])
            for rule in application.rules
            if rule.revision in self.index_of
        ]
        self._sticky = application.sticky_cookie.encode()
        self._readable = bool(self._sticky) or any(cookie for _, cookie, _, _ in self._rules)

    def share(self, headers: Iterable[Header], draw: Callable[[], float]) -> Share:
        """Return where a request goes. `draw` gives a number in [0, 1) by chance.

        A client that is known again is at the same place on the scale each time, and the scale begins with the new
        revision: as its weight grows, clients move to it and none moves back.
        """
        cookies = _cookies(headers) if self._readable else {}
        for header, cookie, value, index in self._rules:
            found = cookies.get(cookie) if cookie else _header(headers, header)
            if found is not None and (value is None or found == value.encode()):
                return Share(index)
        if not self._sticky:
            return Share(self._at(draw()))
        known = cookies.get(self._sticky)
        if known:
            return Share(self._at(_place(known)))
        fresh = b"%024x" % int(draw() * (1 << (8 * ID_BYTES)))
        return Share(self._at(_place(fresh)), self._sticky + b"=" + fresh + b"; Path=/; HttpOnly; SameSite=Lax")

    def _at(self, point: float) -> int:
        for bound, index in self._bounds:
            if point < bound:
                return index
        return self._bounds[-1][1]


def _bounds(weights: list[int]) -> list[tuple[float, int]]:
    """Return the scale: the upper end of each controller's part, the last of the list first.

    Example: weights 95 and 5 are ``[(0.05, 1), (1.0, 0)]``. Without any weight the first has it all.
    """
    whole = sum(weights)
    if not whole:
        return [(1.0, 0)]
    bounds, reached = [], 0
    for index in range(len(weights) - 1, -1, -1):
        if weights[index]:
            reached += weights[index]
            bounds.append((reached / whole, index))
    return bounds


def _place(identity: bytes) -> float:
    """Return where a client is on the scale, alike in all proxies."""
    return int.from_bytes(hashlib.blake2b(identity, digest_size=7).digest(), "big") / (1 << 56)


def _header(headers: Iterable[Header], name: bytes) -> bytes | None:
    return next((value for key, value in headers if key == name), None)


def _cookies(headers: Iterable[Header]) -> dict[bytes, bytes]:
    """Return the cookies of a request (RFC 6265, 5.4): of several of a name the first, as user agents order them."""
    found: dict[bytes, bytes] = {}
    for key, text in headers:
        if key == COOKIE:
            for part in text.split(b";"):
                name, separator, value = part.strip().partition(b"=")
                if separator:
                    found.setdefault(name, value.strip(b'"'))
    return found
