"""What the controller tells a new replica: small values that Ray carries; code and definition are fetched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from remora.replica.gang import GangContext
from remora.types import FIRST_RANK, ReplicaId, ReplicaRank


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaConfig:
    """Who a replica is and where it finds the rest."""

    id: ReplicaId
    application: str
    deployment: str
    revision: str
    definition: str
    """Digest of its definition, served by the controller."""
    code: str
    """Digest of its code bundle, empty without one."""
    controller_url: str
    max_ongoing_requests: int
    user_config: Any
    health_check_timeout_s: float
    """How long the first check may take, before which nobody relies on the replica."""
    memory: bytes
    """The controller's own record of the replica, unread here: it comes back to a controller that lost its file."""
    version: str = ""
    """Digest: replicas with the same one are alike."""
    rank: ReplicaRank = FIRST_RANK
    gang: GangContext | None = None
    world_size: int = 1
    """Replicas that the deployment was to have when this one was started."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Set before user code is imported; a pod has its variables from the start."""
    working_dir: str = ""
    """Folder to work in and to import from first; empty leaves both as they are."""
    worker_env: Mapping[str, str] = field(default_factory=dict)
    """What the environment of a worker container would hold, on a Ray that somebody else started."""


@dataclass(frozen=True, slots=True)
class Started:
    """A replica listens."""

    host: str
    port: int
    pid: int


@dataclass(frozen=True, slots=True)
class Way:
    """How other processes of the Ray cluster reach the application: no secret, only where one lies."""

    controller_url: str
    key_file: str
    """Path of the data key, alike on all machines of the cluster; empty when it lies in no file."""


@dataclass(frozen=True, slots=True)
class NotStarted:
    """A replica could not start; it waits to be killed."""

    message: str
    trace: str = ""
