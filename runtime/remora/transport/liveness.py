"""Whether the other end's host still answers, and how much it has received: asked of the kernel, not of the process.

A replica whose user code blocks its loop sends no PING for a while, yet nothing is lost: its kernel acknowledges ours.
A host that is gone acknowledges nothing. Only the second ends a connection; and what it never acknowledged was never
read, let alone started.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import sys
from typing import Final

PING_S: Final = 1.0
FOLLOWS_AFTER_S: Final = 1.5
"""A replica answers each PING with its own, in the same turn of its loop, so that an idle one wakes once for both; one
that heard nothing for so long speaks by itself."""
SILENT_AFTER_S: Final = 3.0

_SIOCOUTQ: Final = 0x5411
_LAST_ACK_OFFSET: Final = 8 + 12 * 4
"""Of ``tcpi_last_ack_recv`` in ``struct tcp_info``: 8 one-byte fields, then twelve u32 before it."""


def next_ping(now_s: float) -> float:
    """Return when to speak next: in half a period to one and a half, at a moment that all links of a process share.

    To wake costs a process more than what it then does for one link.
    """
    return (now_s / PING_S + 1.5) // 1 * PING_S


def unacknowledged_bytes(sock: socket.socket) -> int:
    """Return how many written bytes the other host has not acknowledged; 0 where the system cannot tell."""
    if sys.platform != "linux":
        return 0
    buffer = bytearray(4)
    try:
        fcntl.ioctl(sock.fileno(), _SIOCOUTQ, buffer)
    except OSError:
        return 0
    return int.from_bytes(buffer, sys.byteorder)


def milliseconds_since_acknowledgement(sock: socket.socket) -> int:
    """Return how long ago the other host last acknowledged anything; 0 where the system cannot tell."""
    if sys.platform != "linux":
        return 0
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_ACK_OFFSET + 4)
    except OSError:
        return 0
    if len(info) < _LAST_ACK_OFFSET + 4:
        return 0
    value: int = struct.unpack_from("=I", info, _LAST_ACK_OFFSET)[0]
    return value


def host_is_gone(sock: socket.socket) -> bool:
    """Return whether the other host stopped acknowledging; call it after ``SILENT_AFTER_S`` of pings and no answer."""
    return (
        unacknowledged_bytes(sock) > 0 and milliseconds_since_acknowledgement(sock) >= (SILENT_AFTER_S - PING_S) * 1000
    )
