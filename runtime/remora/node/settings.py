"""Settings of head and worker: the environment of their containers."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from remora_api.meta import Path as Paths
from remora_api.meta import Port

OBJECT_STORE_BYTES = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadSettings:
    """How a head runs."""

    ip: str
    ray_key: str
    store: Path
    """Folder of Ray's tables."""
    incarnation: str
    born_file: Path
    """Says, by not being empty, that the tables were filled once; written by the operator before the first replica."""
    object_store_bytes: int = OBJECT_STORE_BYTES

    @staticmethod
    def read(environment: Mapping[str, str] = os.environ) -> HeadSettings:  # noqa: TID251 - this is a settings.py
        """Read the environment; OSError when the key's file is missing, KeyError without POD_IP."""
        return HeadSettings(
            ip=environment["POD_IP"],
            ray_key=_ray_key(environment),
            store=Path(environment.get("REMORA_STATE_DIR", Paths.STATE)) / "gcs",
            incarnation=environment.get("REMORA_INCARNATION", "1"),
            born_file=Path(environment.get("REMORA_BORN_FILE", "/var/run/remora/born/incarnation")),
            object_store_bytes=int(environment.get("REMORA_OBJECT_STORE_BYTES", OBJECT_STORE_BYTES)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """How a worker runs, and what it tells the controller of itself."""

    ip: str
    pod: str
    host: str
    """Name of the Kubernetes node."""
    ray_key: str
    head: str
    """``host:port`` of the head's Service."""
    group: str
    template: str
    cpu_milli: int
    memory_bytes: int = 0
    custom: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of the Ray node, beside Remora's own."""
    object_store_bytes: int = OBJECT_STORE_BYTES
    drain_timeout_s: float = 25
    scratch: Path = Path("/tmp/remora")

    @staticmethod
    def read(environment: Mapping[str, str] = os.environ) -> WorkerSettings:  # noqa: TID251 - this is a settings.py
        """Read the environment; OSError when the key's file is missing, KeyError without what a pod must say."""
        head = environment["REMORA_HEAD_ADDRESS"]
        return WorkerSettings(
            ip=environment["POD_IP"],
            pod=environment["POD_NAME"],
            host=environment.get("NODE_NAME", ""),
            ray_key=_ray_key(environment),
            head=head if ":" in head else f"{head}:{Port.GCS}",
            group=environment["REMORA_GROUP"],
            template=environment["REMORA_TEMPLATE"],
            cpu_milli=int(environment["REMORA_CPU_MILLI"]),
            memory_bytes=int(environment.get("REMORA_MEMORY_BYTES") or 0),
            custom=json.loads(environment.get("REMORA_CUSTOM_RESOURCES") or "{}"),
            labels=json.loads(environment.get("REMORA_RAY_LABELS") or "{}"),
            object_store_bytes=int(environment.get("REMORA_OBJECT_STORE_BYTES", OBJECT_STORE_BYTES)),
            drain_timeout_s=float(environment.get("REMORA_DRAIN_TIMEOUT_S", "25")),
            scratch=Path(environment.get("REMORA_SCRATCH_DIR", "/tmp/remora")),
        )


def environment_with(extra: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with some variables more, for Ray's processes."""
    return {**os.environ, **extra}  # noqa: TID251 - this is a settings.py


def _ray_key(environment: Mapping[str, str]) -> str:
    path = environment.get("REMORA_RAY_KEY_FILE", f"{Paths.KEYS}/ray/key")
    return Path(path).read_text().strip() if path else ""
