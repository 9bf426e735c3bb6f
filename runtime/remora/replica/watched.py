"""Watched: a request's ``send`` that remembers how far the answer got."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from remora.transport.messages import Headers
from remora.types import WHOLE_ANSWER, Message, Scope, Send

_NONE: Final[Mapping[str, Any]] = {}


class Watched:
    """Around ``send``; `asgi` of the user's object decides by it what an exception means."""

    __slots__ = ("_send", "broken", "finished", "started")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False
        self.finished = False
        self.broken = False
        """The client has gone: what the application raises because of that is no error."""

    def whole(self, scope: Scope, headers: Headers, body: bytes) -> bool:
        """Send a whole answer at once, if the server of this request can."""
        answer = scope.get("extensions", _NONE).get(WHOLE_ANSWER)
        if answer is None:
            return False
        try:
            sent: bool = answer(headers, body)
        except OSError:
            self.broken = True
            raise
        self.started = self.finished = sent
        return sent

    async def __call__(self, message: Message) -> None:
        self.started = True
        try:
            await self._send(message)
        except OSError:
            self.broken = True
            raise
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.finished = True
