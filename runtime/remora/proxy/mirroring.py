"""Mirroring: a request once more, to another revision, whose answer nobody sees.

It costs the client nothing: what finds no room at once, or too much under way already, is left out and counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from remora.errors import ProtocolError
from remora.proxy.figures import Figures
from remora.proxy.visit import Visit
from remora.router.pool import Pool
from remora.transport.client import ClientStream, LinkLost, Refused
from remora.transport.frames import END, FAILURE, REQUEST, RESPONSE
from remora.transport.messages import HeadTooLarge, ResponseHead, pack, unpack

MARK: Final = (b"x-remora-mirrored", b"1")
"""Header by which code that must not act twice can tell."""
MAX_UNDER_WAY: Final = 128
TIMEOUT_S: Final = 60.0


class Mirroring:
    """Repeats requests of one proxy."""

    def __init__(self, figures: Figures, clock: Callable[[], float]) -> None:
        self._figures = figures
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    def repeat(self, visit: Visit, revision: str, pool: Pool | None, body: bytes) -> None:
        """Send a whole request to a replica of `pool`, and read its answer away."""
        name = visit.name
        link = pool.try_acquire() if pool is not None and len(self._tasks) < MAX_UNDER_WAY else None
        if link is None:
            self._figures.mirrored[name, revision, "left out"] += 1
            return
        head = visit.head(visit.timeout_s)
        try:
            payload = pack(msgspec.structs.replace(head, headers=[*head.headers, MARK]), body)
        except HeadTooLarge:
            link.release()
            self._figures.mirrored[name, revision, "left out"] += 1
            return
        stream = link.open(REQUEST | END, payload)
        if stream is None:
            link.release()
            self._figures.mirrored[name, revision, "left out"] += 1
            return
        task = asyncio.get_running_loop().create_task(self._read_away(name, revision, stream, visit.timeout_s))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _read_away(self, name: str, revision: str, stream: ClientStream, timeout_s: float | None) -> None:
        began, code = self._clock(), 502
        try:
            async with asyncio.timeout(timeout_s or TIMEOUT_S):
                kind, content = await stream.read()
                if kind & ~END == RESPONSE:
                    head, _ = unpack(ResponseHead, content)
                    code = head.status
                while not kind & END and kind & ~END != FAILURE:
                    kind, content = await stream.read()
                if kind & ~END == FAILURE:
                    code = 500
        except Refused:
            self._figures.mirrored[name, revision, "left out"] += 1
            return
        except TimeoutError:
            code = 504
        except (LinkLost, ProtocolError):
            code = 502
        finally:
            stream.cancel()
        self._figures.mirrored[name, revision, "failed" if code >= 500 else "answered"] += 1
        self._figures.add(name, revision, code, self._clock() - began, self._clock())
