"""The way between two processes of one machine, or of one pod: a Unix socket beside the replica's port.

Less work for the kernel than TCP over loopback. Its name is made of the replica's address, and lies in Linux' abstract
namespace (unix(7)), which belongs to a network namespace: who shares that with the replica finds the socket, and in any
other pod the name means nothing. So nobody has to be told who is near, there is no file to clean up, and where there is
no such socket there is TCP. Any process of the namespace could take a name before its replica does; it gains nothing,
as both ends prove who they are either way, and a client that meets a stranger goes on by TCP.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from typing import Final

IS_KNOWN: Final = sys.platform == "linux"
BUFFER_BYTES: Final = 1024 * 1024
"""What the kernel may hold of one connection, each way, as far as the system lets us: unlike TCP's, these buffers do
not grow by themselves, and with the usual 208 KiB a large body has either end wait for the other again and again."""

_PREFIX: Final = "\0remora/"


def bind(host: str, port: int) -> socket.socket | None:
    """Return a socket to listen at beside a port; None where there is no such way, or another has the name.

    ``host`` and ``port`` are what clients are told.
    """
    return _socket(socket.socket.bind, host, port)


def reach(host: str, port: int) -> socket.socket | None:
    """Return a socket that is connected to who listens beside a port; None where nobody near does.

    Does not wait: a Unix socket is connected at once, or its listener takes nobody just now.
    """
    return _socket(socket.socket.connect, host, port)


def widen(sock: socket.socket | None) -> None:
    """Let the kernel hold more of what either end of such a connection sends; other sockets stay as they are."""
    if sock is not None and IS_KNOWN and sock.family == socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)


def shown(peer: object) -> str:
    """Return the other end of a connection as messages name it, whichever way it goes, from its ``peername``."""
    match peer:
        case [host, port, *_]:
            return f"{host}:{port}"
        case bytes() if peer:
            return peer.decode(errors="replace").removeprefix(_PREFIX)
        case str() if peer:
            return peer.removeprefix(_PREFIX)
        case _:
            return "a process of this machine"


def _socket(use: Callable[[socket.socket, str], None], host: str, port: int) -> socket.socket | None:
    if not IS_KNOWN:
        return None
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    found.setblocking(False)
    try:
        use(found, f"{_PREFIX}{host}:{port}")
    except OSError:
        found.close()
        return None
    return found
