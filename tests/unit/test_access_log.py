"""Access log: one line a request, its time in UTC to the millisecond."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from remora.proxy.access_log import AccessLog, Line

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
