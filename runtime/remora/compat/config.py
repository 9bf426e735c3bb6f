"""Stands for `ray.serve.config`: values that programs construct and hand to the decorator or to serve.start.

What has no effect yet is said where it is used. Models of pydantic are imported when somebody asks for one: every
replica imports this module.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from remora.graph.autoscaling import AggregationFunction, AutoscalingConfig, AutoscalingPolicy
from remora.replica.policy import AutoscalingContext
from remora.routing.config import RequestRouterConfig

if TYPE_CHECKING:
    from remora.compat.backpressure import BackpressureConfig
    from remora.compat.deployment_actor import DeploymentActorConfig
    from remora.compat.gang import GangPlacementStrategy, GangRuntimeFailurePolicy, GangSchedulingConfig
    from remora.compat.http_options import ControllerOptions, HTTPOptions, ProxyLocation, gRPCOptions
    from remora.compat.logging_config import LoggingConfig

__all__ = [
    "AggregationFunction",
    "AutoscalingConfig",
    "AutoscalingContext",
    "AutoscalingPolicy",
    "BackpressureConfig",
    "ControllerOptions",
    "DeploymentActorConfig",
    "GangPlacementStrategy",
    "GangRuntimeFailurePolicy",
    "GangSchedulingConfig",
    "HTTPOptions",
    "LoggingConfig",
    "ProxyLocation",
    "RequestRouterConfig",
    "gRPCOptions",
]

_ELSEWHERE: Final = {
    "BackpressureConfig": "remora.compat.backpressure",
    "ControllerOptions": "remora.compat.http_options",
    "DeploymentActorConfig": "remora.compat.deployment_actor",
    "GangPlacementStrategy": "remora.compat.gang",
    "GangRuntimeFailurePolicy": "remora.compat.gang",
    "GangSchedulingConfig": "remora.compat.gang",
    "HTTPOptions": "remora.compat.http_options",
    "LoggingConfig": "remora.compat.logging_config",
    "ProxyLocation": "remora.compat.http_options",
    "gRPCOptions": "remora.compat.http_options",
}


def __getattr__(name: str) -> Any:
    """Return a model, imported now."""
    if name not in _ELSEWHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_ELSEWHERE[name]), name)
