"""``python -m tests.load URL --rate 120 --connections 8 --for 60``: steady load with its own count, as JSON on stdout.

It ends after ``--for`` seconds, earlier at SIGTERM (how a test stops it) or when nobody is left to read what it prints:

    {"requests": 7200, "failures": [], "statuses": {"200": 7200}, "shortest_ms": 1.2, "p50_ms": 3.1, "p99_ms": 9.8,
     "longest_ms": 31.0, "streams": 1, "stream_seconds": [30.0], "why": {}, "failed_at": [], "gap_s": 0.05,
     "seen": {"ok": [1.7e9, 1.7e9]}}

`seen` has for each text when it was answered first and last, `failed_at` the first and the last failure, in seconds
since 1970; `gap_s` is the longest time without a good answer. A failure is an answer with another status than 2xx, an
answer that is not whole, a refused or reset connection, or no answer within ``--timeout`` seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import select
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.load.http import Answer, BadAnswer, Connection

LONG_S = 60.0
"""The least that a stream or a slow request may take in all."""
READER_S = 1.0
"""Between two looks whether somebody reads."""


@dataclass(slots=True)
class Tally:
    """What was sent and what became of it."""

    latencies_s: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    stream_seconds: list[float] = field(default_factory=list)
    seen: dict[str, tuple[float, float]] = field(default_factory=dict)
    why: Counter[str] = field(default_factory=Counter)
    failed_at: tuple[float, ...] = ()
    gap_s: float = 0.0
    good_at: float = field(default_factory=time.time)

    def succeed(self, text: str) -> None:
        """Count a good answer of the steady load."""
        now = time.time()
        self.answers[text] += 1
        self.seen[text] = (self.seen.get(text, (now, now))[0], now)
        self.gap_s, self.good_at = max(self.gap_s, now - self.good_at), now

    def fail(self, where: str, why: str) -> None:
        """Count a failure: at which time of which connection or path, and why."""
        now = time.time()
        self.failures.append(f"{where}: {why}")
        self.why[why] += 1
        self.failed_at = (*self.failed_at[:1], now)

    def report(self) -> dict[str, object]:
        """Return the figures as JSON values."""
        ordered = sorted(self.latencies_s) or [0.0]

        def quantile(share: float) -> float:
            return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 2)

        return {
            "requests": sum(self.statuses.values()) + len(self.failures),
            "failures": self.failures[:50],
            "failed": len(self.failures),
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "answers": dict(self.answers.most_common(20)),
            "shortest_ms": round(ordered[0] * 1000, 2),
            "p50_ms": quantile(0.5),
            "p99_ms": quantile(0.99),
            "longest_ms": round(ordered[-1] * 1000, 2),
            "streams": len(self.stream_seconds),
            "stream_seconds": [round(seconds, 2) for seconds in self.stream_seconds],
            "why": dict(self.why.most_common(10)),
            "failed_at": self.failed_at,
            "gap_s": round(self.gap_s, 2),
            "seen": dict(list(self.seen.items())[:100]),
        }


async def send_steadily(target: argparse.Namespace, tally: Tally, index: int, stop: asyncio.Event) -> None:
    """Send this connection's share of the rate, on one kept connection, until told to stop."""
    loop = asyncio.get_running_loop()
    url = urlsplit(target.url)
    connection = Connection(url.hostname or "127.0.0.1", url.port or 80)
    interval = target.connections / target.rate
    due = loop.time() + interval * index / target.connections
    body = target.body.encode()
    headers = {"Content-Type": "application/json"} if body else {}
    while not stop.is_set():
        await _until(due, stop)
        if stop.is_set():
            break
        sent = loop.time()
        try:
            async with asyncio.timeout(target.timeout):
                answer, text = await connection.request(target.method, url.path or "/", body, headers)
        except (OSError, BadAnswer, TimeoutError) as error:
            connection.close()
            tally.fail(f"+{sent - target.started:.2f}s connection {index}", f"{type(error).__name__} {error}")
        else:
            tally.latencies_s.append(loop.time() - sent)
            if 200 <= answer.status < 300:
                tally.statuses[answer.status] += 1
                tally.succeed(text[:80].decode("utf-8", "replace"))
            else:
                tally.fail(f"+{sent - target.started:.2f}s connection {index}", f"{answer.status} {text[:200]!r}")
        due = max(due + interval, loop.time() - 1)
    # Streams that are read to their end now are no part of the steady load.
    tally.gap_s = max(tally.gap_s, time.time() - tally.good_at)
    connection.close()


async def hold_stream(target: argparse.Namespace, tally: Tally) -> None:
    """Read one long streamed answer to its end."""
    loop = asyncio.get_running_loop()
    url = urlsplit(target.stream)
    connection = Connection(url.hostname or "127.0.0.1", url.port or 80)
    began, size, status, refusal = loop.time(), 0, 200, b""
    path = f"{url.path or '/'}{'?' + url.query if url.query else ''}"
    try:
        # A server that has gone without a word would be waited for for ever.
        async with asyncio.timeout(max(target.timeout, LONG_S)):
            async for item in connection.stream("GET", path):
                if isinstance(item, Answer):
                    status = item.status
                else:
                    size += len(item)
                    refusal += item if status != 200 else b""
        if status != 200:
            tally.fail(f"+{began - target.started:.2f}s {path}", f"{status} {refusal[:200]!r}")
        else:
            tally.stream_seconds.append(loop.time() - began)
    except (OSError, BadAnswer, TimeoutError) as error:
        after = f"after {loop.time() - began:.1f} s, {size} bytes"
        tally.fail(f"+{began - target.started:.2f}s {path} {after}", f"{type(error).__name__} {error}")
    connection.close()


async def hold_again(target: argparse.Namespace, tally: Tally, url: str, stop: asyncio.Event) -> None:
    """Read one long answer after the other, each to its end."""
    again = argparse.Namespace(**vars(target) | {"stream": url})
    while not stop.is_set():
        failed = len(tally.failures)
        await hold_stream(again, tally)
        if len(tally.failures) > failed:
            # No storm of failures: one a second tells enough.
            await _until(asyncio.get_running_loop().time() + 1, stop)


async def run(target: argparse.Namespace) -> Tally:
    """Send load until the time is over or SIGTERM comes; a stream that was begun is read to its end."""
    tally, stop = Tally(), asyncio.Event()
    loop = asyncio.get_running_loop()
    target.started = loop.time()
    loop.call_later(target.duration, stop.set)
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    async with asyncio.TaskGroup() as tasks:
        for index in range(target.connections):
            tasks.create_task(send_steadily(target, tally, index, stop))
        if target.stream:
            tasks.create_task(hold_stream(target, tally))
        for url in (*target.streams, *target.slow):
            tasks.create_task(hold_again(target, tally, url, stop))
        tasks.create_task(end_unread(sys.stdout.fileno(), stop))
    return tally


async def end_unread(output: int, stop: asyncio.Event) -> None:
    """Stop the load when the other end of a pipe has gone: a test that was killed cannot do it any more."""
    reader = select.poll()
    # No events: that nobody reads is always told.
    reader.register(output, 0)
    while not stop.is_set():
        if reader.poll(0):
            stop.set()
        await _until(asyncio.get_running_loop().time() + READER_S, stop)


async def _until(due: float, stop: asyncio.Event) -> None:
    delay = due - asyncio.get_running_loop().time()
    if delay > 0:
        try:
            async with asyncio.timeout(delay):
                await stop.wait()
        except TimeoutError:
            return


def main() -> None:
    """Parse the command line, send, print the tally."""
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, default=100, help="requests a second, all connections together")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--for", dest="duration", type=float, default=30, help="seconds")
    parser.add_argument("--timeout", type=float, default=20, help="seconds for one answer")
    parser.add_argument("--method", default="GET")
    parser.add_argument("--body", default="")
    parser.add_argument("--stream", default="", help="URL of one long stream to read beside the load")
    parser.add_argument("--streams", action="append", default=[], help="URL of streams to read one after the other")
    parser.add_argument("--slow", action="append", default=[], help="URL of slow requests, one after the other")
    print(json.dumps(asyncio.run(run(parser.parse_args())).report()))


if __name__ == "__main__":
    main()
