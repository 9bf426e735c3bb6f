"""Holder: which cache's cluster this machine runs. Its namespaces, cgroups and addresses have room for one.

Two checkouts with caches of their own (`XDG_CACHE_HOME`) would otherwise take each other's network away.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .commands import ClusterError
from .places import Places
from .processes import Processes

NOTE = Path("/run/remora-test-cluster")


@dataclass(frozen=True, slots=True)
class Holder:
    """The note that the cluster which is up leaves on the machine; gone with the machine's boot."""

    note: Path = NOTE

    def check(self, cache: Path) -> None:
        """Return when the machine is free for the cluster of ``cache``; raise ClusterError when another one lives."""
        other = self._other(cache)
        if other is None:
            return
        places = Places(other)
        if any(Processes(places.processes, places.logs).alive().values()):
            raise ClusterError(
                f"the cluster of {other} runs on this machine, which has room for one: "
                f"take it down first, by XDG_CACHE_HOME={other.parent} python -m tests.cluster down"
            )

    def take(self, cache: Path) -> None:
        """Say that the machine runs the cluster of ``cache`` from now on; raise ClusterError as `check` does."""
        self.check(cache)
        self.note.write_text(str(cache))

    def leave(self, cache: Path) -> None:
        """Take the note away, if it is ours."""
        if self.note.exists() and self._other(cache) is None:
            self.note.unlink()

    def _other(self, cache: Path) -> Path | None:
        said = self.note.read_text() if self.note.exists() else ""
        return Path(said) if said and Path(said) != cache else None
