"""Requests byte by byte, for what no HTTP client would send."""

from __future__ import annotations

import asyncio


async def raw(port: int, request: bytes, *, until_closed: bool = True) -> bytes:
    """Send bytes as they are and return the answer up to the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(-1 if until_closed else 65_536), 5)
    writer.close()
    return answer


def get(path: str, *lines: str, method: str = "GET", body: bytes = b"") -> bytes:
    head = "\r\n".join([f"{method} {path} HTTP/1.1", "host: x", *lines, "connection: close"])
    return head.encode() + b"\r\n\r\n" + body
