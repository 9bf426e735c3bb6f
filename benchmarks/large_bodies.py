"""Memory of proxy and replica while large bodies pass, either way: ``make bench-bodies``.

    python -m benchmarks.large_bodies [--mib 1024] [--out docs/results/large-bodies.md]

Sends a body to an application that counts its bytes as they come, reads one that it makes as it is read, and reads one
slowly. Both processes are real and alone; their resident memory (VmRSS) is read 20 times a second from /proc.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import platform
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.dataplane import KEY, serve_proxy

PART = b"x" * 65_536
MIB = 1024 * 1024
SAMPLE_S = 0.05
SLOW_BYTES_PER_S = 32 * MIB


class Bodies:
    """User code: counts what it is sent, and makes what it is asked for."""

    async def asgi(self, scope, receive, send):  # type: ignore[no-untyped-def]
        headers = [(b"content-type", b"application/octet-stream")]
        if scope["method"] == "POST":
            size, more = 0, True
            while more:
                message = await receive()
                size += len(message.get("body", b""))
                more = message.get("more_body", False)
            body = str(size).encode()
            headers.append((b"content-length", str(len(body)).encode()))
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        left = int(scope["query_string"])
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while left:
            part = PART[:left]
            left -= len(part)
            await send({"type": "http.response.body", "body": part, "more_body": left > 0})


def serve_bodies(ready: Connection) -> None:
    """One replica."""
    import uvloop

    from remora.replica.server import ReplicaServer

    async def serve() -> None:
        server = ReplicaServer(
            Bodies(),  # type: ignore[arg-type]
            key=KEY,
            application="bench",
            revision="1",
            replica="bench#Noop#1",
            max_ongoing_requests=1000,
        )
        ready.send(await server.start("127.0.0.1"))
        await asyncio.Event().wait()

    uvloop.run(serve())


@dataclass(slots=True)
class Figures:
    """Of one process: resident MiB before, and at most meanwhile."""

    before: float
    peak: float = 0.0

    @property
    def growth(self) -> float:
        return self.peak - self.before


@dataclass(slots=True)
class Passage:
    """One body's."""

    what: str
    seconds: float = 0.0
    memory: dict[str, Figures] = field(default_factory=dict)


@asynccontextmanager
async def watched(what: str, processes: dict[str, multiprocessing.Process]) -> AsyncIterator[Passage]:
    """Measure while the block runs."""
    passage = Passage(what, memory={name: Figures(resident_mib(it)) for name, it in processes.items()})

    async def watch() -> None:
        while True:
            for name, process in processes.items():
                passage.memory[name].peak = max(passage.memory[name].peak, resident_mib(process))
            await asyncio.sleep(SAMPLE_S)

    watching = asyncio.create_task(watch())
    began = time.monotonic()
    try:
        yield passage
    finally:
        passage.seconds = time.monotonic() - began
        watching.cancel()


def resident_mib(process: multiprocessing.Process) -> float:
    """Return a process's VmRSS."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(process.pid)


async def upload(port: int, size: int) -> None:
    """Send a body and check that all of it arrived."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {size}\r\n\r\n".encode())
    left = size
    while left:
        part = PART[:left]
        left -= len(part)
        writer.write(part)
        await writer.drain()
    answer = await reader.read()
    writer.close()
    if not answer.endswith(b"\r\n\r\n%d" % size):
        raise RuntimeError(f"not all arrived: {answer[-100:]!r}")


async def download(port: int, size: int, *, bytes_per_s: float = 0.0) -> None:
    """Read a body, at no more than a rate, and check its length."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024 * 1024)
    writer.write(f"GET /?{size} HTTP/1.0\r\nhost: x\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    began, got = time.monotonic(), 0
    while part := await reader.read(1024 * 1024):
        got += len(part)
        if bytes_per_s:
            await asyncio.sleep(max(0.0, began + got / bytes_per_s - time.monotonic()))
    writer.close()
    # HTTP/1.0 frames by the end of the connection; uvicorn chunks nevertheless, so a little more comes.
    if got < size:
        raise RuntimeError(f"{got} of {size} bytes came")


async def measure(mib: int) -> list[Passage]:
    """Pass bodies of this size, one after the other."""
    size = mib * MIB
    context = multiprocessing.get_context("spawn")
    processes: dict[str, multiprocessing.Process] = {}

    def start(name: str, serve: Callable[..., None], *arguments: object) -> int:
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, *arguments), daemon=True)
        process.start()
        processes[name] = process  # type: ignore[assignment]  # a SpawnProcess is one
        if not ours.poll(30):
            raise TimeoutError(f"{name} did not start")
        return int(ours.recv())

    try:
        replica_port = start("replica", serve_bodies)
        port = start("proxy", serve_proxy, replica_port, False)
        await upload(port, MIB)
        await download(port, MIB)
        passages: list[Passage] = []
        ways: dict[str, Callable[[], Awaitable[None]]] = {
            f"{mib} MiB up": lambda: upload(port, size),
            f"{mib} MiB down": lambda: download(port, size),
            f"{mib // 4} MiB down, read at 32 MiB/s": lambda: download(port, size // 4, bytes_per_s=SLOW_BYTES_PER_S),
        }
        for what, go in ways.items():
            async with watched(what, processes) as passage:
                await go()
            passages.append(passage)
        return passages
    finally:
        for process in processes.values():
            process.kill()
            process.join()


def table(passages: list[Passage]) -> str:
    """Return the figures as Markdown."""
    lines = [
        "| body | seconds | proxy before | proxy at most | replica before | replica at most |",
        "|---|---|---|---|---|---|",
    ]
    for passage in passages:
        proxy, replica = passage.memory["proxy"], passage.memory["replica"]
        lines.append(
            f"| {passage.what} | {passage.seconds:.1f} | {proxy.before:.0f} MiB | {proxy.peak:.0f} MiB"
            f" | {replica.before:.0f} MiB | {replica.peak:.0f} MiB |"
        )
    return "\n".join(lines)


def main() -> int:
    """Measure, print, and write the page if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    found = table(asyncio.run(measure(chosen.mib)))
    print(found)
    if chosen.out is not None:
        machine = f"{multiprocessing.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(
            "# Large bodies\n\n"
            f"`make bench-bodies` on {datetime.now(UTC):%Y-%m-%d}, {machine}; resident memory (VmRSS) of the two\n"
            "processes, sampled 20 times a second. `tests/integration/test_large_bodies.py`\n"
            "holds 64 MiB to the same.\n\n"
            f"{found}\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
