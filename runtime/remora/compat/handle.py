"""Stands for `ray.serve.handle`."""

from remora.handle import DeploymentHandle, DeploymentResponse, DeploymentResponseGenerator
from remora.handle.broadcast import DeploymentBroadcastResponse

RayServeHandle = RayServeSyncHandle = RayServeDeploymentHandle = DeploymentHandle

__all__ = [
    "DeploymentBroadcastResponse",
    "DeploymentHandle",
    "DeploymentResponse",
    "DeploymentResponseGenerator",
    "RayServeDeploymentHandle",
    "RayServeHandle",
    "RayServeSyncHandle",
]
