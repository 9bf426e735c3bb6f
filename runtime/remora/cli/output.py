"""How commands talk to their user: what was asked for on stdout, all else on stderr; and arguments that they share."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml


def say(text: str) -> None:
    """Tell the user something that is not the answer."""
    print(f"remora: {text}", file=sys.stderr, flush=True)  # noqa: T201 - the command line talks to its user


def write(text: str, path: Path | None) -> int:
    """Write the answer to stdout, or to the file, and return the exit code."""
    if path is None:
        print(text, end="")  # noqa: T201 - as above
        return 0
    try:
        path.write_text(text)
    except OSError as error:
        say(f"{path} cannot be written: {error.strerror}")
        return 1
    say(f"wrote {path}")
    return 0


def arguments(pairs: Sequence[str]) -> dict[str, Any]:
    """Return `k=v` pairs as builder arguments; values are read as YAML, so 3 is a number and [a, b] a list."""
    return {name: yaml.safe_load(value) for name, _, value in (pair.partition("=") for pair in pairs)}
