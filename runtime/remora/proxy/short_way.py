"""The short way of a request: it is whole, a replica has room, and the answer comes in one frame.

That is most requests, and for them a task, its coroutines and a future cost more than the work. Whatever else happens
(a long answer, a refusal, a lost replica, a timeout) turns it into an ordinary task, which goes on where this stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from remora.errors import ProtocolError
from remora.proxy.client import Client
from remora.proxy.known_heads import KnownHeads
from remora.proxy.visit import Visit
from remora.router.forward import headers_for_client
from remora.router.link import Link
from remora.router.waiting import Opened
from remora.transport.client import ClientStream
from remora.transport.frames import END, RESPONSE
from remora.transport.messages import ResponseHead, unpack


class ShortWay:
    """One request. ``record`` is called once, if it ends here; else `Client.start_task` was."""

    __slots__ = ("_client", "_heads", "_heard", "_link", "_record", "_stream", "_timer", "visit")

    def __init__(
        self,
        visit: Visit,
        client: Client,
        link: Link,
        stream: ClientStream,
        heads: KnownHeads,
        heard: Callable[[], None],
        record: Callable[[Visit, int, str | None], None],
    ) -> None:
        self.visit = visit
        self._client = client
        self._link = link
        self._stream = stream
        self._heads = heads
        self._heard = heard
        self._record = record
        self._timer: asyncio.TimerHandle | None = None
        stream.on_event = self._on_event
        if visit.timeout_s is not None:
            self._timer = stream.loop.call_later(visit.timeout_s, self._go_the_long_way)

    @property
    def opened(self) -> Opened:
        """What the ordinary way goes on with."""
        return Opened(self._link, self._stream)

    def cancel(self) -> None:
        """The client has gone."""
        if self.visit.detached:
            self._client.served(self)
            return
        self._end()
        self._stream.cancel()
        self._record(self.visit, 499, "the client went away")

    def _on_event(self) -> None:
        self._heard()
        self._stream.on_event = None
        frame = self._stream.peek()
        if frame is not None and frame[0] == RESPONSE | END:
            status = self._answer(frame[1])
            if status is not None:
                self._record(self.visit, status, None)
                return
        self._go_the_long_way()

    def _answer(self, payload: bytes) -> int | None:
        """Tell the client, and return the status; None if that takes the long way."""
        client, extra = self._client, self.visit.extra
        known = self._heads.take(payload)
        if known is not None:
            head, load, body = known
            if not client.answer_known(head, extra, body):
                return None
            status = head.status
        else:
            try:
                response, body = unpack(ResponseHead, payload)
            except ProtocolError:
                return None
            self._heads.learn(payload, response)
            if not client.answer(response.status, headers_for_client(response, extra), body):
                return None
            status, load = response.status, response.load
        self._end()
        self._link.reported(load)
        return status

    def _go_the_long_way(self) -> None:
        self._end()
        self._client.start_task()

    def _end(self) -> None:
        self._stream.on_event = None
        self._client.served(self)
        if self._timer is not None:
            self._timer.cancel()
