"""One JSON line for each request, written in batches and off the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

FLUSH_S: Final = 0.25
SECONDS: Final = len("2026-11-21T00:00:00")
MAX_PENDING: Final = 50_000
"""Lines that wait for a slow log; beyond, lines are dropped and counted."""


class Line(msgspec.Struct, gc=False):
    """One request."""

    time: float | str
    application: str
    method: str
    path: str
    status: int | str
    duration_ms: float
    client: str
    request_id: str
    error: str | None = None


class TracedLine(Line, gc=False):
    """One request that is part of a trace."""

    traceparent: str = ""


class AccessLog:
    """`add` costs an append; a thread formats nothing and only writes."""

    def __init__(
        self, write: Callable[[bytes], object], wall_clock: Callable[[], float], clock: Callable[[], float]
    ) -> None:
        self._write = write
        self._wall_clock = wall_clock
        self._clock = clock
        self._lines: list[Line] = []
        self._dropped = 0
        self._encoder = msgspec.json.Encoder()
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Future[object] | None = None

    def add(self, line: Line) -> None:
        """Log one request, soon. ``line.time`` is in the clock's seconds."""
        if len(self._lines) >= MAX_PENDING:
            self._dropped += 1
            return
        self._lines.append(line)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._flush)

    async def close(self) -> None:
        """Write what is left."""
        if self._timer is not None:
            self._timer.cancel()
        if self._writing is not None:
            await asyncio.wait((self._writing,))
        self._timer = None
        self._write(self._encoded())

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        if self._writing is not None and not self._writing.done():
            self._timer = loop.call_later(FLUSH_S, self._flush)
            return
        self._writing = loop.run_in_executor(None, self._write, self._encoded())

    def _encoded(self) -> bytes:
        lines, self._lines = self._lines, []
        offset = self._wall_clock() - self._clock()
        second, text = -1.0, ""
        for line in lines:
            if isinstance(line.time, float):
                whole, fraction = divmod(line.time + offset, 1)
                if whole != second:
                    second, text = whole, datetime.fromtimestamp(whole, UTC).isoformat()[:SECONDS]
                line.time = f"{text}.{int(fraction * 1000):03d}+00:00"
        encoded = self._encoder.encode_lines(lines)
        if self._dropped:
            encoded += self._encoder.encode({"dropped_lines": self._dropped}) + b"\n"
            self._dropped = 0
        return encoded
