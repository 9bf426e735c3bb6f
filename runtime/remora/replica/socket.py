"""One WebSocket at the replica: a stream on one side, ASGI's receive and send on the other.

`replica.server` makes one for each REQUEST of this type. Every ASGI message crosses as it is; what a server would
refuse is refused here, where the traceback is the user's.

    OPENING ─accept─▶ OPEN ─close─▶ ENDED
       ├─close─▶ ENDED
       └─http.response.start─▶ DENYING ─last body─▶ ENDED
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from remora.errors import ProtocolError
from remora.replica.exchange import ASGI, AnswerBroken, check_headers
from remora.transport.frames import CANCEL, DATA, END, FAILURE, MESSAGE
from remora.transport.messages import Cause, FailureHead, RequestHead, cut_message, pack, unpack_message
from remora.transport.server import ServerStream
from remora.transport.stream import StreamClosed
from remora.types import Message, Scope

QUIET_S: Final = 1.0
"""While the replica drains: a conversation without a word for so long, and whose application waits for the client, is
closed; it would go on for ever, and a client that is told 1012 comes back to another replica."""
GOING_AWAY: Final = {"code": 1012, "reason": "the replica is going away"}
"""Service Restart, as in IANA's registry of close codes (RFC 6455, 7.4.2): connect again."""
ABNORMAL: Final = 1006


class Step(Enum):
    """How far the application got."""

    OPENING = auto()
    OPEN = auto()
    DENYING = auto()
    ENDED = auto()


TRANSITIONS: Final[dict[tuple[Step, str], Step]] = {
    (Step.OPENING, "websocket.accept"): Step.OPEN,
    (Step.OPENING, "websocket.close"): Step.ENDED,
    (Step.OPENING, "websocket.http.response.start"): Step.DENYING,
    (Step.OPEN, "websocket.send"): Step.OPEN,
    (Step.OPEN, "websocket.close"): Step.ENDED,
    (Step.DENYING, "websocket.http.response.body"): Step.DENYING,
}


class SocketExchange:
    """Receive and send of one WebSocket."""

    __slots__ = ("_drain_timer", "_last", "_load", "_opened", "_step", "_stream", "_touched", "_waiting", "head")

    def __init__(self, stream: ServerStream, head: RequestHead, load: Callable[[], int]) -> None:
        self.head = head
        self._stream = stream
        self._load = load
        self._opened = False
        self._last: Message | None = None
        """What the client said last: it has gone."""
        self._step = Step.OPENING
        self._waiting = False
        """The application waits for the client to speak."""
        self._touched = 0.0
        self._drain_timer: asyncio.TimerHandle | None = None

    def scope(self) -> Scope:
        """Return the ASGI scope, as a server in the replica would have made it."""
        head = self.head
        return {
            "type": "websocket",
            "asgi": ASGI,
            "http_version": head.http_version,
            "scheme": head.scheme,
            "path": head.path,
            "raw_path": head.raw_path,
            "query_string": head.query_string,
            "root_path": head.root_path,
            "headers": head.headers,
            "client": head.client,
            "server": head.server,
            "subprotocols": head.subprotocols,
            "state": {},
            "extensions": {"websocket.http.response": {}},
        }

    async def receive(self) -> Message:
        """The next message of the client; once it has gone, ``websocket.disconnect`` again and again."""
        if not self._opened:
            self._opened = True
            return {"type": "websocket.connect"}
        self._waiting = True
        self._touch()
        try:
            return await self._message()
        finally:
            self._waiting = False
            self._touch()

    async def _message(self) -> Message:
        if self._last is not None:
            return dict(self._last)
        packed = bytearray()
        while True:
            try:
                kind, part = await self._stream.read()
            except StreamClosed:
                self._last = {"type": "websocket.disconnect", "code": ABNORMAL}
                return dict(self._last)
            if kind == CANCEL:
                self._last = {"type": "websocket.disconnect", **GOING_AWAY}
                return dict(self._last)
            if kind & ~END != MESSAGE or not part:
                raise ProtocolError("a WebSocket stream carries only messages")
            self._touch()
            packed += memoryview(part)[1:]
            if part[0]:
                message: Message = unpack_message(bytes(packed))
                if kind & END:
                    self._last = message
                return message

    async def send(self, message: Message) -> None:
        """Send one message; waits while the client reads slowly. Raises OSError once the client has gone."""
        kind = message["type"]
        following = TRANSITIONS.get((self._step, kind))
        if following is None:
            raise AnswerBroken(f"{kind} cannot be sent on a WebSocket that is {self._step.name.lower()}")
        if self._stream.closed is not None or self._stream.is_ended:
            raise OSError("the client has gone")
        if "headers" in message:
            headers = [(bytes(name), bytes(value)) for name, value in message["headers"]]
            check_headers(headers)
            message = {**message, "headers": headers}
        if kind == "websocket.http.response.body" and not message.get("more_body", False):
            following = Step.ENDED
        self._step = following
        self._touch()
        for part in cut_message(message):
            try:
                await self._stream.write(MESSAGE, part)
            except StreamClosed as closed:
                raise OSError("the client has gone") from closed

    async def finish(self) -> None:
        """The application returned: nothing more comes from here."""
        if self._stream.closed is None:
            if self._step in (Step.OPENING, Step.DENYING) and not self._stream.is_ended:
                raise AnswerBroken("the application returned without accepting or closing the WebSocket")
            await self._stream.write(DATA | END, b"")

    def fail(self, cause: Cause, text: str) -> None:
        """End the stream because the application raised, or was cancelled."""
        self._stream.answer(FAILURE | END, pack(FailureHead(cause, text, [], self._load())))

    # ── draining ─────────────────────────────────────────────────────────────────────────────────────────────────

    def go_away(self) -> None:
        """The replica drains: close this conversation as soon as it is quiet."""
        loop = asyncio.get_running_loop()
        left_s = self._touched + QUIET_S - loop.time()
        if self._step is Step.ENDED or self._stream.is_ended:
            return
        if self._step is Step.OPEN and self._waiting and left_s <= 0 and not self._stream.parts:
            self._close()
        else:
            self._drain_timer = loop.call_later(left_s if left_s > 0 else QUIET_S, self.go_away)

    def _close(self) -> None:
        self._step = Step.ENDED
        for part in cut_message({"type": "websocket.close", **GOING_AWAY}):
            self._stream.answer(MESSAGE, part)
        # A kind that costs no credit: the client has not sent it.
        self._stream.deliver(CANCEL, b"")

    def _touch(self) -> None:
        self._touched = asyncio.get_running_loop().time()

    def disarm(self) -> None:
        """Nothing is left to be closed."""
        if self._drain_timer is not None:
            self._drain_timer.cancel()
