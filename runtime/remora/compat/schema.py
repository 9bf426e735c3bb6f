"""Stands for `ray.serve.schema`: what `serve.status()` returns, and `LoggingConfig`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from remora.compat.status import (
    ApplicationStatus,
    ApplicationStatusOverview,
    DeploymentStatus,
    DeploymentStatusOverview,
    ProxyStatus,
    ReplicaState,
    ServeStatus,
)

if TYPE_CHECKING:
    from remora.compat.logging_config import LoggingConfig

__all__ = [
    "ApplicationStatus",
    "ApplicationStatusOverview",
    "DeploymentStatus",
    "DeploymentStatusOverview",
    "LoggingConfig",
    "ProxyStatus",
    "ReplicaState",
    "ServeStatus",
]


def __getattr__(name: str) -> Any:
    """Return the model, imported now: every replica imports this module."""
    if name != "LoggingConfig":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from remora.compat.logging_config import LoggingConfig

    return LoggingConfig
