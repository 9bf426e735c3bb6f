"""Whether a port can be listened at: asked before anything starts."""

from __future__ import annotations

import socket

from remora.local.errors import CannotServe


def check(host: str, port: int) -> None:
    """Raise CannotServe when it cannot, as another process listens there, say."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CannotServe(f"port {port} cannot be used ({error.strerror}): choose another with --port") from error
