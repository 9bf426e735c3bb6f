"""The checkpoint: what a controller that starts anew has to know, in files that are replaced as a whole.

``state.json`` holds targets, graphs and replicas; ``definitions/DIGEST`` what replicas fetch. Which replicas really
live, Ray knows better: see `recovery`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from remora.controller.state import Build, BuildKey, Replica, Serving, World
from remora.errors import RemoraError
from remora.types import ReplicaId
from remora_api.message import Unreadable, read
from remora_api.wire import BuildState, Target


class DamagedCheckpoint(RemoraError):
    """The file is not one of this program's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """The part of the World that is kept."""

    targets: Mapping[str, Target] = field(default_factory=dict)
    serving: Mapping[str, Serving] = field(default_factory=dict)
    builds: Mapping[BuildKey, Build] = field(default_factory=dict)
    replicas: Mapping[ReplicaId, Replica] = field(default_factory=dict)


def saved_of(world: World) -> Saved:
    """Return what is kept of a World: builds that are under way or failed are made again."""
    built = {key: build for key, build in world.builds.items() if build.state is BuildState.BUILT}
    return Saved(targets=world.targets, serving=world.serving, builds=built, replicas=world.replicas)


def replica_to_bytes(replica: Replica) -> bytes:
    """Return a replica's record, to be kept by the replica itself as well."""
    return msgspec.json.encode(replica)


def replica_from_bytes(record: bytes) -> Replica:
    """Return the replica of a record; raise DamagedCheckpoint."""
    try:
        return read(record, Replica)
    except Unreadable as error:
        raise DamagedCheckpoint(f"a replica's record cannot be read: {error}") from error


class Checkpoint:
    """The files of one controller."""

    def __init__(self, folder: Path) -> None:
        self._state = folder / "state.json"
        self._definitions = folder / "definitions"
        self._last: Saved | None = None

    def load(self) -> Saved:
        """Return what was saved last; nothing on a first start; raise DamagedCheckpoint."""
        try:
            self._last = read(self._state.read_bytes(), Saved)
        except FileNotFoundError:
            self._last = Saved()
        except Unreadable as error:
            raise DamagedCheckpoint(f"{self._state} cannot be read: {error}") from error
        self._forget_definitions(self._last)
        return self._last

    def save(self, world: World) -> None:
        """Write what changed since the last time."""
        saved = saved_of(world)
        if saved != self._last:
            _replace(self._state, msgspec.json.encode(saved))
            self._last = saved

    def put_definition(self, digest: str, definition: bytes) -> None:
        """Keep a definition."""
        path = self._definitions / digest
        if not path.exists():
            _replace(path, definition)

    def definition(self, digest: str) -> bytes | None:
        """Return a definition, None when there is none of this digest."""
        path = self._definitions / digest
        return path.read_bytes() if digest.isalnum() and path.exists() else None

    def _forget_definitions(self, saved: Saved) -> None:
        """Delete the definitions that nobody will ask for any more."""
        graphs = [serving.graph for serving in saved.serving.values()]
        graphs += [build.graph for build in saved.builds.values() if build.graph is not None]
        needed = {deployment.definition for graph in graphs for deployment in graph.deployments}
        for path in self._definitions.glob("*"):
            if path.name not in needed:
                path.unlink(missing_ok=True)


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    os.replace(partial, path)
