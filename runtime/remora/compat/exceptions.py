"""Stands for `ray.serve.exceptions`."""

from remora.errors import BackPressureError, ReplicaUnavailableError, RequestCancelledError, gRPCStatusError
from remora.errors import DeploymentUnavailable as DeploymentUnavailableError
from remora.errors import RemoraError as RayServeException

__all__ = [
    "BackPressureError",
    "DeploymentUnavailableError",
    "RayServeException",
    "ReplicaUnavailableError",
    "RequestCancelledError",
    "gRPCStatusError",
]
