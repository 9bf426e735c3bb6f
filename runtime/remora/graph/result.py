"""What a build hands over: options to read, definitions to pass on.

Pure. `build` writes it in the process that imported the user's code, the controller reads it. A head line of JSON,
then the definitions one after the other::

    remora-build 1
    {"ingress": "A", "deployments": [{"name": "A", …, "digest": "9f…", "size": 312}, …], "warnings": []}
    <312 bytes><…>

A build that failed has ``{"error": {"kind": …, "message": …, "traceback": …}}`` as its head.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from remora.errors import GraphError

_MAGIC: Final = b"remora-build 1\n"


@dataclass(frozen=True, slots=True)
class BuiltDeployment:
    """One deployment as its code says; the resource may say otherwise."""

    name: str
    digest: str
    """SHA-256 of the definition. The user's modules are not in it: a version needs the code's digest beside it."""
    ingress: bool = False
    dependencies: tuple[str, ...] = ()
    then: tuple[str, ...] = ()
    replicas: int = 1
    autoscaling: Mapping[str, Any] | None = None
    """Fields of `remora_api.autoscaling.Autoscaling`; None for a fixed number."""
    max_ongoing_requests: int = 5
    max_queued_requests: int = -1
    user_config: Any = None
    has_user_config: bool = False
    cpu_milli: int = 1000
    memory_bytes: int = 0
    custom: Mapping[str, float] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    runtime_env: Mapping[str, Any] = field(default_factory=dict)
    """For Ray, without `env_vars`."""
    max_replicas_per_node: int | None = None
    gang: Mapping[str, Any] | None = None
    """Fields of `remora_api.wire_group.Gang`; None where replicas are on their own."""
    group: Mapping[str, Any] | None = None
    """Fields of `remora_api.wire_group.PlacementGroup`; None where a replica reserves nothing beside itself."""
    actors: tuple[str, ...] = ()
    """Names of the actors that its replicas share."""
    rolling_update_percentage: float | None = None
    max_surge_percent: int | None = None
    max_constructor_retry_count: int | None = None
    graceful_shutdown_wait_loop_s: float = 2.0
    graceful_shutdown_timeout_s: float = 20.0
    health_check_period_s: float = 10.0
    health_check_timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class BuildFailure:
    """The graph could not be built."""

    kind: str
    """Name of the exception's class."""
    message: str
    """One sentence: the import path, and the last line of the traceback."""
    traceback: str = ""
    """The traceback's tail."""

    def to_bytes(self) -> bytes:
        """Return it as the build's output."""
        error = {"kind": self.kind, "message": self.message, "traceback": self.traceback}
        return _MAGIC + json.dumps({"error": error}).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class BuildResult:
    """The graph of one application: options, and definitions by digest."""

    ingress: str
    deployments: tuple[BuiltDeployment, ...]
    definitions: Mapping[str, bytes]
    warnings: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """Return it as the build's output."""
        head = {
            "ingress": self.ingress,
            "deployments": [_head(built, len(self.definitions[built.digest])) for built in self.deployments],
            "warnings": list(self.warnings),
        }
        bodies = [self.definitions[built.digest] for built in self.deployments]
        return b"".join([_MAGIC, json.dumps(head).encode(), b"\n", *bodies])

    @staticmethod
    def from_bytes(data: bytes) -> BuildResult | BuildFailure:
        """Return what `to_bytes` wrote; raise GraphError when the bytes are something else, or cut off."""
        if not data.startswith(_MAGIC):
            raise GraphError("the build's output is not a remora-build of version 1: it ended early, or is another's")
        line, _, bodies = data[len(_MAGIC) :].partition(b"\n")
        head: Mapping[str, Any] = json.loads(line)
        if "error" in head:
            return BuildFailure(**head["error"])
        deployments = tuple(_built(entry) for entry in head["deployments"])
        sizes = [int(entry["size"]) for entry in head["deployments"]]
        return BuildResult(
            ingress=head["ingress"],
            deployments=deployments,
            definitions=_cut(bodies, [built.digest for built in deployments], sizes),
            warnings=tuple(head.get("warnings", ())),
        )


def digest(definition: bytes) -> str:
    """Return the name of a definition: SHA-256 in hex."""
    return hashlib.sha256(definition).hexdigest()


def _head(built: BuiltDeployment, size: int) -> dict[str, Any]:
    return {name: getattr(built, name) for name in BuiltDeployment.__dataclass_fields__} | {"size": size}


def _built(entry: Mapping[str, Any]) -> BuiltDeployment:
    """Return the deployment; fields of a later version are ignored."""
    known = {name: entry[name] for name in BuiltDeployment.__dataclass_fields__ if name in entry}
    return BuiltDeployment(**known | {name: tuple(known.get(name, ())) for name in ("dependencies", "then", "actors")})


def _cut(bodies: bytes, digests: Sequence[str], sizes: Sequence[int]) -> dict[str, bytes]:
    cut: dict[str, bytes] = {}
    start = 0
    for name, size in zip(digests, sizes, strict=True):
        cut[name] = bodies[start : start + size]
        start += size
        if digest(cut[name]) != name:
            raise GraphError(f"the build's output is damaged: definition {name[:12]} has another digest")
    return cut
