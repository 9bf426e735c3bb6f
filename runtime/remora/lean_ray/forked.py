"""A worker's program as the raylet starts it: has the template fork the worker and ends, or becomes the worker itself.

    forked.py SOCKET PROGRAM [the program's words …]

It imports little, and of the standard library only: its own start is what is left of a worker's.
"""

from __future__ import annotations

import array
import json
import os
import socket
import sys

OWN_ENVIRONMENT = "--runtime-env-hash="
"""Option of a worker: 0 where it has no environment of its own."""


def main() -> None:
    """Do it with this process's arguments."""
    path, *argv = sys.argv[1:]
    if f"{OWN_ENVIRONMENT}0" not in argv or not _handed_over(path, argv):
        os.execv(sys.executable, [sys.executable, *argv])


def _handed_over(path: str, argv: list[str]) -> bool:
    """Whether the template has forked the worker; without an answer it has not."""
    with open("/proc/self/oom_score_adj") as file:  # pathlib alone takes as long to import as all the rest
        killed_before = file.read()
    said = {
        "argv": argv,
        "environment": dict(os.environ),  # noqa: TID251 - what is handed over
        "folder": os.getcwd(),
        "path": sys.path[1:],
        "killed_before": killed_before,
    }
    message = json.dumps(said).encode()
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(path)
            sent = connection.sendmsg([message], rights)
            connection.sendall(message[sent:])
            connection.shutdown(socket.SHUT_WR)
            return bool(connection.recv(1))
        except OSError:
            # Nobody there any more: Ray's own way is as good, and only slower.
            return False


if __name__ == "__main__":
    main()
