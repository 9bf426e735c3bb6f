"""Stands for `ray.serve.schema`: what `serve.status()` returns, settings of logs and traces, models of config files."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from remora.compat.status import (
    ApplicationStatus,
    ApplicationStatusOverview,
    DeploymentStatus,
    DeploymentStatusOverview,
    ProxyStatus,
    ReplicaState,
    ServeStatus,
)
from remora.types import ReplicaRank

if TYPE_CHECKING:
    from remora.compat.logging_config import EncodingType, LoggingConfig
    from remora.compat.tracing_config import TracingConfig
    from remora.serve_config.schema import (
        DeploymentSchema,
        HTTPOptionsSchema,
        RayActorOptionsSchema,
        ServeApplicationSchema,
        ServeDeploySchema,
        gRPCOptionsSchema,
    )
    from remora.tasks.adapter import TaskProcessorAdapter
    from remora.tasks.models import CeleryAdapterConfig, TaskProcessorConfig, TaskResult

__all__ = [
    "ApplicationStatus",
    "ApplicationStatusOverview",
    "CeleryAdapterConfig",
    "DeploymentSchema",
    "DeploymentStatus",
    "DeploymentStatusOverview",
    "EncodingType",
    "HTTPOptionsSchema",
    "LoggingConfig",
    "ProxyStatus",
    "RayActorOptionsSchema",
    "ReplicaRank",
    "ReplicaState",
    "ServeApplicationSchema",
    "ServeDeploySchema",
    "ServeStatus",
    "TaskProcessorAdapter",
    "TaskProcessorConfig",
    "TaskResult",
    "TracingConfig",
    "gRPCOptionsSchema",
]

_ELSEWHERE: Final = {
    "EncodingType": "remora.compat.logging_config",
    "LoggingConfig": "remora.compat.logging_config",
    "TracingConfig": "remora.compat.tracing_config",
    **dict.fromkeys(
        (
            "DeploymentSchema",
            "HTTPOptionsSchema",
            "RayActorOptionsSchema",
            "ServeApplicationSchema",
            "ServeDeploySchema",
            "gRPCOptionsSchema",
        ),
        "remora.serve_config.schema",
    ),
    "TaskProcessorAdapter": "remora.tasks.adapter",
    **dict.fromkeys(("CeleryAdapterConfig", "TaskProcessorConfig", "TaskResult"), "remora.tasks.models"),
}


def __getattr__(name: str) -> Any:
    """Return the model, imported now: every replica imports this module."""
    if name not in _ELSEWHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_ELSEWHERE[name]), name)
