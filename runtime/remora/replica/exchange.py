"""One HTTP request at the replica: a stream on one side, ASGI's receive and send on the other.

`replica.server` makes one for each REQUEST and hands its two methods to the user's application.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Final

from remora.transport.frames import END, FAILURE, MAX_PART_BYTES, RESPONSE
from remora.transport.messages import (
    Cause,
    FailureHead,
    Headers,
    HeadTooLarge,
    RequestHead,
    ResponseHead,
    pack,
)
from remora.transport.server import ServerStream
from remora.transport.stream import StreamClosed
from remora.types import WHOLE_ANSWER, WHOLE_BODY, Message, Scope

# What could end a line, and so begin another header.
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
ASGI: Final = {"version": "3.0", "spec_version": "2.4"}

# No Content, Not Modified (RFC 9110, 6.4.1).
_BODILESS: Final = frozenset((204, 304))
_OF_A_BODY: Final = frozenset((b"content-length", b"transfer-encoding"))


class AnswerBroken(Exception):
    """The application did not keep to ASGI, or to its own Content-Length."""


def check_headers(headers: Headers) -> None:
    """Raise AnswerBroken if a header could begin another one."""
    if _CONTROL.search(b"".join([word for pair in headers for word in pair])):
        raise AnswerBroken("a response header has a control character in it")


class HttpExchange:
    """Receive and send of one HTTP request."""

    __slots__ = ("_bodiless", "_body", "_ended", "_held", "_load", "_stream", "complete", "head", "started")

    def __init__(self, stream: ServerStream, head: RequestHead, part: bytes, load: Callable[[], int]) -> None:
        self.head = head
        self.started = False
        """The application has sent its status."""
        self.complete = False
        self._bodiless = False
        """The status says that there is no body, whatever the application sends."""
        self._stream = stream
        self._body: bytes | None = part
        self._ended = stream.request_ended
        self._held: tuple[int, Headers] | None = None
        self._load = load

    def scope(self) -> Scope:
        """Return the ASGI scope, as a server in the replica would have made it."""
        head = self.head
        return {
            "type": "http",
            "asgi": ASGI,
            "http_version": head.http_version,
            "method": head.method,
            "scheme": head.scheme,
            "path": head.path,
            "raw_path": head.raw_path,
            "query_string": head.query_string,
            "root_path": head.root_path,
            "headers": head.headers,
            "client": head.client,
            "server": head.server,
            "state": {},
            "extensions": {WHOLE_BODY: self._body, WHOLE_ANSWER: self.answer} if self._ended else {},
        }

    async def receive(self) -> Message:
        """The next part of the body; after the last one, waits until the client goes."""
        part, self._body = self._body, None
        if part is not None and (part or self._ended):
            return {"type": "http.request", "body": part, "more_body": not self._ended}
        try:
            # After END the client sends nothing more: reading on waits for the end of the stream.
            kind, part = await self._stream.read()
        except StreamClosed:
            return {"type": "http.disconnect"}
        self._ended = bool(kind & END)
        return {"type": "http.request", "body": part, "more_body": not self._ended}

    async def send(self, message: Message) -> None:
        """Status first, then the body; waits while the client reads slowly. Raises OSError once the client has gone."""
        kind = message["type"]
        if self.complete:
            if kind == "http.response.trailers":
                return  # Trailers are for who asked for them, and no client of HTTP/1.1 that we know does.
            raise AnswerBroken(f"{kind} was sent after the last part of the body")
        if self._stream.closed is not None:
            raise OSError("the client has gone")
        if kind == "http.response.body":
            await self._send_body(message.get("body", b""), more=message.get("more_body", False))
        elif kind == "http.response.start":
            if self.started:
                raise AnswerBroken("http.response.start was sent twice")
            self.started = True
            status, headers = message["status"], [(name.lower(), value) for name, value in message.get("headers", ())]
            if status in _BODILESS:
                self._bodiless = True
                headers = [pair for pair in headers if pair[0] not in _OF_A_BODY]
            # Held until the turn ends, so that a short answer is one frame.
            self._held = status, headers
            self._stream.announce(self)
        else:
            raise AnswerBroken(f"{kind} is not expected here")

    def answer(self, headers: Headers, body: bytes) -> bool:
        """Send a 200 with its whole body, the same as by `send`, without the messages between; False if it is too long.

        Names of headers are lower case. Raises OSError once the client has gone.
        """
        if self._stream.closed is not None:
            raise OSError("the client has gone")
        if self.started or len(body) > MAX_PART_BYTES:
            return False
        self.started = True
        self._answer_head(RESPONSE | END, 200, headers, body)
        self._end()
        return True

    def release(self) -> None:
        """Send the status without waiting for the body any longer."""
        if self._held is not None:
            status, headers = self._held
            self._held = None
            try:
                self._answer_head(RESPONSE, status, headers, b"")
            except AnswerBroken as error:
                self.fail(Cause.BROKEN, str(error))
                self._end()

    async def _send_body(self, body: bytes, *, more: bool) -> None:
        if not self.started:
            raise AnswerBroken("http.response.body was sent before http.response.start")
        if self._bodiless:
            body = b""
        if self._held is not None:
            status, headers = self._held
            self._held = None
            # What does not go along with the head goes as it is, without being copied into a frame.
            fits = len(body) <= MAX_PART_BYTES
            kind = RESPONSE | END if fits and not more else RESPONSE
            self._answer_head(kind, status, headers, bytes(body) if fits else b"")
            if kind & END:
                self._end()
                return
            if fits:
                body = b""
        # The application may change what is no bytes object as soon as this returns.
        await self._stream.write_body(bytes(body), end=not more)
        if not more:
            self._end()
        elif self._stream.crowds:
            # A generator that never waits would keep its first byte until its last, and the loop for itself.
            await asyncio.sleep(0)

    def _answer_head(self, kind: int, status: int, headers: Headers, part: bytes) -> None:
        if not 200 <= status < 600:
            raise AnswerBroken(f"{status} is no status of a final answer")
        try:
            check_headers(headers)
            payload = pack(ResponseHead(status, headers, self._load()), part)
        except (HeadTooLarge, TypeError, OverflowError) as error:
            raise AnswerBroken(f"the response's headers cannot be sent: {error}") from error
        self._stream.answer(kind, payload)

    def _end(self) -> None:
        self.complete = True
        self._stream.close(StreamClosed("the answer is complete"))

    def fail(self, cause: Cause, text: str) -> None:
        """End the stream without an answer, or in the middle of one."""
        self._held = None
        self._stream.answer(FAILURE | END, pack(FailureHead(cause, text, [], self._load())))
