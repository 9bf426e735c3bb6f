"""Handles: how user code calls other deployments. `handle → runtime (a types.Caller) → router → a replica`."""

from remora.handle.handle import DeploymentHandle
from remora.handle.response import DeploymentResponse, DeploymentResponseGenerator

__all__ = ["DeploymentHandle", "DeploymentResponse", "DeploymentResponseGenerator"]
