"""Settings: the environment, read once. The chart sets these variables; no other module looks at any."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MIN_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Settings:
    """How this operator runs."""

    namespace: str
    """POD_NAMESPACE: where it runs and has its Lease."""
    identity: str
    """POD_NAME and some chance: who holds the Lease."""
    runtime_image: str
    """REMORA_RUNTIME_IMAGE: of heads, workers and proxies that ask for no other."""
    master_key: bytes = field(repr=False)
    """Content of the file REMORA_MASTER_KEY_FILE; applications' keys are derived from it."""
    watched_namespaces: tuple[str, ...]
    """REMORA_NAMESPACES, separated by commas; none means all."""
    lease: str
    """REMORA_LEASE_NAME."""
    concurrency: int
    """REMORA_CONCURRENCY: applications reconciled at once."""
    health_port: int
    """REMORA_HEALTH_PORT: /healthz, /readyz and /metrics."""
    resync_s: float
    """REMORA_RESYNC_SECONDS: how often everything is listed again, in case a watch missed something."""
    log_level: str
    """REMORA_LOG_LEVEL."""


def from_environment(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings; ValueError names the variable that is missing or wrong."""
    env = os.environ if environment is None else environment  # noqa: TID251 (this is the one place)
    key_file = env.get("REMORA_MASTER_KEY_FILE", "/var/run/remora/master/key")
    master = Path(key_file).read_bytes().strip()
    if len(master) < MIN_KEY_BYTES:
        raise ValueError(
            f"REMORA_MASTER_KEY_FILE: {key_file} holds less than {MIN_KEY_BYTES} bytes; use 64 random ones"
        )
    image = env.get("REMORA_RUNTIME_IMAGE", "")
    if not image:
        raise ValueError("REMORA_RUNTIME_IMAGE is not set: name the image of heads, workers and proxies")
    namespaces = tuple(it.strip() for it in env.get("REMORA_NAMESPACES", "").split(",") if it.strip())
    return Settings(
        namespace=env.get("POD_NAMESPACE", "remora-system"),
        identity=f"{env.get('POD_NAME', 'remora-operator')}_{secrets.token_hex(4)}",
        runtime_image=image,
        master_key=master,
        watched_namespaces=namespaces,
        lease=env.get("REMORA_LEASE_NAME", "remora-operator"),
        concurrency=int(env.get("REMORA_CONCURRENCY", "8")),
        health_port=int(env.get("REMORA_HEALTH_PORT", "8080")),
        resync_s=float(env.get("REMORA_RESYNC_SECONDS", "120")),
        log_level=env.get("REMORA_LOG_LEVEL", "INFO").upper(),
    )
