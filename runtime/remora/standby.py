"""Processes that are started before it is known what they are to do: they import what they need, and wait to be told.

An interpreter's start and its imports take most of a second on a busy machine; this way they pass while the one that
will tell them imports things of its own. Told by JSON on stdin, up to its end: ``{"arguments": […], "environment":
{…}}``, the latter over what the process has. Nothing before the end means that it is not wanted.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence

WORD = "--standby"
"""The only argument of such a process."""


def message(arguments: Sequence[object], environment: Mapping[str, str] | None = None) -> bytes:
    """Return what tells a process its arguments, as text, and its environment."""
    words = [str(word) for word in arguments]
    return json.dumps({"arguments": words, "environment": dict(environment or {})}).encode()


def wait() -> list[str] | None:
    """Return the arguments that this process is told, having taken on the environment; None when it is not wanted.

    Blocks. Afterwards stdin is empty, as it would be for a process that was started with its arguments.
    """
    told = sys.stdin.buffer.read()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    if not told:
        return None
    found = json.loads(told)
    os.environ.update(found["environment"])  # noqa: TID251 - the process's start, before any setting is read
    return list(found["arguments"])
