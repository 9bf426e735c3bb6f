"""One JSON line for each request, written in batches and off the loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

log = logging.getLogger("remora.proxy")

FLUSH_S: Final = 0.25
CLOSE_S: Final = 2.0
"""What a reader has at the end to take what is left; one that does not read would else keep the process for good."""
SECONDS: Final = len("2026-11-21T00:00:00")
MAX_PENDING: Final = 50_000
"""Lines that wait for a slow log; beyond, lines are dropped and counted."""
SLICE: Final = 256
"""Lines that are encoded at once, in a third of a millisecond; all of a flush would hold requests up for ten."""


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
        """The last ones, less than a slice."""
        self._encoded: list[bytes] = []
        """Whole slices."""
        self._dropped = 0
        self._encoder = msgspec.json.Encoder()
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Future[object] | None = None

    def add(self, line: Line) -> None:
        """Log one request, soon. ``line.time`` is in the clock's seconds."""
        self._lines.append(line)
        if len(self._lines) >= SLICE:
            self._encode()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._flush)

    async def close(self, patience_s: float = CLOSE_S) -> None:
        """Write what is left, unless nobody reads it for so long."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        while True:
            if self._writing is not None:
                await asyncio.wait((self._writing,), timeout=patience_s)
                if not self._writing.done():
                    log.warning("nobody reads the access log: its last lines are lost")
                    return
            if not self._lines and not self._encoded and not self._dropped:
                return
            self._begin()

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        if self._writing is not None and not self._writing.done():
            self._timer = loop.call_later(FLUSH_S, self._flush)
            return
        self._begin()

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        lines, writing = self._taken(), loop.create_future()
        self._writing = writing

        def tell(error: Exception | None) -> None:
            writing.set_exception(error) if error is not None else writing.set_result(None)

        def write() -> None:
            error = None
            try:
                self._write(lines)
            except OSError as raised:
                error = raised
            # The loop has ended when somebody reads at last what `close` did not wait for.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(tell, error)

        # Python waits for the threads of an executor at its end, and for one that cannot write for ever.
        threading.Thread(target=write, name="remora-access-log", daemon=True).start()

    def _taken(self) -> bytes:
        """Return all that waits, which then waits no more."""
        self._encode()
        encoded, self._encoded = self._encoded, []
        if self._dropped:
            encoded.append(self._encoder.encode({"dropped_lines": self._dropped}) + b"\n")
            self._dropped = 0
        return b"".join(encoded)

    def _encode(self) -> None:
        lines, self._lines = self._lines, []
        if len(self._encoded) * SLICE + len(lines) > MAX_PENDING:
            self._dropped += len(lines)
            return
        offset = self._wall_clock() - self._clock()
        second, text = -1.0, ""
        for line in lines:
            if isinstance(line.time, float):
                whole, fraction = divmod(line.time + offset, 1)
                if whole != second:
                    second, text = whole, datetime.fromtimestamp(whole, UTC).isoformat()[:SECONDS]
                line.time = f"{text}.{int(fraction * 1000):03d}+00:00"
        self._encoded.append(self._encoder.encode_lines(lines))
