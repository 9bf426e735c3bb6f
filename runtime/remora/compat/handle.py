"""Stands for `ray.serve.handle`."""

from remora.handle import DeploymentHandle, DeploymentResponse, DeploymentResponseGenerator

RayServeHandle = RayServeSyncHandle = RayServeDeploymentHandle = DeploymentHandle

__all__ = [
    "DeploymentHandle",
    "DeploymentResponse",
    "DeploymentResponseGenerator",
    "RayServeDeploymentHandle",
    "RayServeHandle",
    "RayServeSyncHandle",
]
