"""Stands in for an agent of a raylet; a program of its own, which imports nothing but the standard library.

    stand_in.py FILE…                                    writes that the ports are not in use, and sleeps
    stand_in.py FILE --agent ADDRESS PORT COMMAND…       listens, and becomes the agent once somebody connects

Ends when the raylet does: by its pipe, stdin, or, where it has none, when another process becomes its parent.
"""

from __future__ import annotations

import os
import select
import socket
import stat
import sys
from collections.abc import Sequence

AGENT = "--agent"
NOT_IN_USE = -1
"""In the place of a port, as Ray's agents have it."""
LOOK_S = 2.0
BACKLOG = 16


def main(arguments: Sequence[str]) -> None:
    """Stand in, until the raylet ends or the agent is asked for."""
    if AGENT not in arguments:
        for file in arguments:
            write_port(file, NOT_IN_USE)
        until_asked([])
        return
    file, _, address, port, *command = arguments
    listener = listen(address, int(port))
    bound = listener.getsockname()[1]
    write_port(file, bound)
    if until_asked([listener]):
        # Who has connected tries again: the raylet does so for half a minute and more.
        listener.close()
        command[-1] += str(bound)
        os.execv(command[0], command)


def listen(address: str, port: int) -> socket.socket:
    """Return a socket that listens where the agent would; raise OSError where it cannot."""
    family, kind, protocol, _, where = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(where)
    listener.listen(BACKLOG)
    return listener


def write_port(file: str, port: int) -> None:
    """Write a port where the raylet looks for it, the whole at once."""
    unfinished = f"{file}.{os.getpid()}"
    with open(unfinished, "w") as opened:
        opened.write(str(port))
    os.replace(unfinished, file)


def until_asked(listeners: Sequence[socket.socket]) -> bool:
    """Return True when somebody connects, False when the raylet has ended."""
    parent = os.getppid()
    has_pipe = stat.S_ISFIFO(os.fstat(0).st_mode)
    watched: list[socket.socket | int] = [*listeners, *([0] if has_pipe else [])]
    while os.getppid() == parent:
        ready = select.select(watched, [], [], None if has_pipe else LOOK_S)[0]
        if any(each in ready for each in listeners):
            return True
        if 0 in ready and not os.read(0, 4096):
            return False
    return False


if __name__ == "__main__":
    main(sys.argv[1:])
