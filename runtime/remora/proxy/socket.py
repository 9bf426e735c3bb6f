"""Uvicorn's WebSocket protocol, with what a proxy needs of its client's connection beyond ASGI.

To be quiet in the log, to wait for applications that read slowly, and to leave without breaking a conversation off.
"""

from __future__ import annotations

import logging
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

_quiet = logging.getLogger("remora.proxy.socket")
_quiet.setLevel(logging.WARNING)


class ProxySocket(WebSocketsSansIOProtocol):
    """One client connection, from its handshake on."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = self.conn.logger = _quiet
        self.touched = self.loop.time()
        """When something went either way, in the loop's seconds."""

    def data_received(self, data: bytes) -> None:
        self.touched = self.loop.time()
        super().data_received(data)

    async def send(self, message: Any) -> None:
        self.touched = self.loop.time()
        await super().send(message)

    def keepalive_timeout(self) -> None:
        if self.read_paused:
            # The answer to our ping waits behind messages that the application has not read yet.
            self.pong_timer = self.pending_ping_payload = None
            self.schedule_ping()
            return
        super().keepalive_timeout()
