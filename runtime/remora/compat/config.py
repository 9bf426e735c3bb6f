"""Stands for `ray.serve.config`: values that programs construct and hand to the decorator or to serve.start.

Kept as given. What has no effect yet is said where it is used.
"""

from __future__ import annotations

from typing import Any

from remora.graph.autoscaling import AutoscalingConfig, AutoscalingPolicy
from remora.replica.policy import AutoscalingContext
from remora.routing.config import RequestRouterConfig

__all__ = [
    "AutoscalingConfig",
    "AutoscalingContext",
    "AutoscalingPolicy",
    "ControllerOptions",
    "GRPCOptions",
    "HTTPOptions",
    "LoggingConfig",
    "RequestRouterConfig",
    "gRPCOptions",
]


class _Settings:
    """Keyword arguments as attributes."""

    def __init__(self, **given: Any) -> None:
        self.__dict__.update(given)

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({given})"


class HTTPOptions(_Settings):
    """Ray Serve's HTTP settings: host, port, root_path, …"""


class GRPCOptions(_Settings):
    """Ray Serve's gRPC settings."""


gRPCOptions = GRPCOptions


class LoggingConfig(_Settings):
    """Ray Serve's logging settings."""


class ControllerOptions(_Settings):
    """Ray Serve's controller settings."""
