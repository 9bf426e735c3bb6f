"""How the demo reaches a cluster: one small port, with an adapter for each kind of place."""

from __future__ import annotations

import subprocess
from contextlib import AbstractContextManager
from typing import Protocol


class CommandFailed(Exception):
    """A command of kubectl, helm or docker failed; the message holds the command and what it said."""


class Access(Protocol):
    """What the demo needs of a cluster."""

    @property
    def kubectl_hint(self) -> str:
        """How the user calls kubectl on this cluster afterwards."""
        ...

    @property
    def place_hint(self) -> str:
        """What `make` has to be told to mean this cluster again, as ``CONTEXT=mine``; else empty."""
        ...

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl and return what it printed; raises CommandFailed."""
        ...

    def helm(self, *arguments: str) -> str:
        """Run helm and return what it printed; raises CommandFailed."""
        ...

    def images(self) -> dict[str, str]:
        """Bring the two images to the cluster's nodes; return chart values that name them."""
        ...

    def outside(self, namespace: str, service: str, port: int) -> AbstractContextManager[str]:
        """Open a Service to this machine; yields its base URL on loopback."""
        ...


def run(*argv: str) -> str:
    """Run a command and return its standard output; raises CommandFailed with the last lines of what it said."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise CommandFailed(f"{argv[0]} is not on PATH; install it first") from error
    if done.returncode:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise CommandFailed(f"`{' '.join(argv)}` ended with {done.returncode}:\n{tail}")
    return done.stdout
