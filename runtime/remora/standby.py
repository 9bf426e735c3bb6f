"""Processes that are started before it is known what they are to do: they import what they need, and wait to be told.

An interpreter's start and its imports take most of a second on a busy machine; this way they pass while the one that
will tell them imports things of its own. Told by one line of JSON on stdin: ``{"arguments": […], "environment": {…}}``,
the latter over what the process has. The end of stdin instead means that it is not wanted.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence

WORD = "--standby"
"""The only argument of such a process."""


def message(arguments: Sequence[object], environment: Mapping[str, str] | None = None) -> bytes:
    """Return what tells a process its arguments, as text, and its environment."""
    words = [str(word) for word in arguments]
    return json.dumps({"arguments": words, "environment": dict(environment or {})}).encode() + b"\n"


def wait(*, dies_with_stdin: bool = False) -> list[str] | None:
    """Return the arguments that this process is told, having taken on the environment; None when it is not wanted.

    Blocks. Afterwards stdin is empty, as it would be for a process that was started with its arguments. With
    ``dies_with_stdin`` who tells keeps its end open, and when that closes, because it was killed say, this process gets
    SIGTERM.
    """
    told = sys.stdin.buffer.readline()
    lifeline = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    if not told:
        os.close(lifeline)
        return None
    if dies_with_stdin:
        threading.Thread(target=_die_with, args=(lifeline,), name="lifeline", daemon=True).start()
    else:
        os.close(lifeline)
    found = json.loads(told)
    os.environ.update(found["environment"])  # noqa: TID251 - the process's start, before any setting is read
    return list(found["arguments"])


def _die_with(lifeline: int) -> None:
    while os.read(lifeline, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
