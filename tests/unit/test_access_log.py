"""Access log: one line a request, its time in UTC to the millisecond."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import UTC, datetime

import pytest

from remora.proxy.access_log import MAX_PENDING, SLICE, AccessLog, Line

WALL = datetime(2026, 11, 21, 23, 59, 58, 500_000, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("later_s", [0.0, 0.4996, 1.25, 1.4999, 1.5001])
async def test_a_line_tells_when_its_request_ended(later_s: float) -> None:
    written: list[bytes] = []
    log = AccessLog(written.append, lambda: WALL, lambda: 100.0)
    for ended in (100.0, 100.0 + later_s):
        log.add(Line(ended, "app", "GET", "/", 200, 1.0, "client", "id"))
    await log.close()
    lines = [json.loads(line) for line in b"".join(written).splitlines()]
    expected = [datetime.fromtimestamp(WALL + s, UTC).isoformat(timespec="milliseconds") for s in (0.0, later_s)]
    assert [line["time"] for line in lines] == expected


async def test_who_does_not_read_it_does_not_keep_the_process(caplog: pytest.LogCaptureFixture) -> None:
    reads = threading.Event()
    log = AccessLog(lambda _: reads.wait(), lambda: WALL, lambda: 100.0)
    try:
        log.add(Line(100.0, "app", "GET", "/", 200, 1.0, "client", "id"))
        async with asyncio.timeout(10):
            await log.close(patience_s=0.01)
        assert "nobody reads the access log" in caplog.text
        writing = [it for it in threading.enumerate() if it.name == "remora-access-log"]
        # Python ends without those.
        assert writing
        assert all(it.daemon for it in writing)
    finally:
        reads.set()


async def test_what_comes_while_lines_are_written_is_written_at_the_end() -> None:
    written: list[bytes] = []
    begun, reads = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def write(lines: bytes) -> None:
        loop.call_soon_threadsafe(begun.set)
        reads.wait()
        written.append(lines)

    log = AccessLog(write, lambda: WALL, lambda: 100.0)
    try:
        log.add(Line(100.0, "app", "GET", "/first", 200, 1.0, "client", "id"))
        async with asyncio.timeout(10):
            await begun.wait()
            log.add(Line(100.0, "app", "GET", "/second", 200, 1.0, "client", "id"))
            closing = asyncio.create_task(log.close())
            await asyncio.sleep(0)
            reads.set()
            await closing
    finally:
        reads.set()
    assert [json.loads(it)["path"] for it in written] == ["/first", "/second"]


async def test_more_than_a_slow_reader_may_owe_is_dropped_and_counted() -> None:
    written: list[bytes] = []
    log = AccessLog(written.append, lambda: WALL, lambda: 100.0)
    count = MAX_PENDING + 3 * SLICE
    for number in range(count):
        log.add(Line(100.0, "app", "GET", f"/{number}", 200, 1.0, "client", "id"))
    await log.close()
    *lines, last = (json.loads(line) for line in b"".join(written).splitlines())
    assert len(lines) <= MAX_PENDING
    assert last == {"dropped_lines": count - len(lines)}
    assert [line["path"] for line in lines[: SLICE + 1]] == [f"/{number}" for number in range(SLICE + 1)]
