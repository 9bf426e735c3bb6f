"""Handles: how user code calls other deployments. `handle → runtime (a types.Caller) → router → a replica`."""

from remora.handle.broadcast import DeploymentBroadcastResponse
from remora.handle.handle import DeploymentHandle
from remora.handle.response import DeploymentResponse, DeploymentResponseGenerator

__all__ = ["DeploymentBroadcastResponse", "DeploymentHandle", "DeploymentResponse", "DeploymentResponseGenerator"]
