"""Upgrades that nobody here speaks (h2c, which Java's HTTP client offers with every request) are ignored.

RFC 9110, 7.8: the request is then an ordinary one, with its body. The parser stops at the end of such a head instead,
and takes what follows for another protocol; so the body is given to a second parser, which is told its length alone.
"""

from __future__ import annotations

from typing import Final, Protocol

import httptools

from remora.transport.messages import Headers

_LENGTHS: Final = (b"content-length", b"transfer-encoding")


class Callbacks(Protocol):
    """What a parser calls: uvicorn's protocol."""

    def on_message_begin(self) -> None: ...
    def on_url(self, url: bytes) -> None: ...
    def on_header(self, name: bytes, value: bytes) -> None: ...
    def on_headers_complete(self) -> None: ...
    def on_chunk_header(self) -> None: ...
    def on_body(self, body: bytes) -> None: ...
    def on_message_complete(self) -> None: ...


def framing(headers: Headers) -> bytes:
    """Return the head of a request whose body has the same length as that of these headers; empty without a body."""
    lines = [name + b": " + value + b"\r\n" for name, value in headers if name in _LENGTHS and value.strip() != b"0"]
    return b"".join((b"POST / HTTP/1.1\r\n", *lines, b"\r\n")) if lines else b""


def resumed(callbacks: Callbacks) -> httptools.HttpRequestParser:
    """Return a parser that begins with a `framing` of its own, and goes on with the connection's later requests."""
    return parser(_Resumed(callbacks))


def parser(callbacks: Callbacks) -> httptools.HttpRequestParser:
    """Return a parser as uvicorn makes its own."""
    made = httptools.HttpRequestParser(callbacks)
    made.set_dangerous_leniencies(lenient_data_after_close=True)
    return made


class _Resumed:
    """Leaves out the head of the first message: its callbacks were called by the first parser."""

    def __init__(self, callbacks: Callbacks) -> None:
        self._callbacks = callbacks
        self._first = True

    def on_message_begin(self) -> None:
        if not self._first:
            self._callbacks.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if not self._first:
            self._callbacks.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._first:
            self._callbacks.on_header(name, value)

    def on_headers_complete(self) -> None:
        if not self._first:
            self._callbacks.on_headers_complete()

    def on_chunk_header(self) -> None:
        self._callbacks.on_chunk_header()

    def on_body(self, body: bytes) -> None:
        self._callbacks.on_body(body)

    def on_message_complete(self) -> None:
        self._first = False
        self._callbacks.on_message_complete()
