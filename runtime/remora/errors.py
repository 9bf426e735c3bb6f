"""Errors that users of Remora see. Names that Ray Serve has are Ray Serve's."""

from __future__ import annotations


class RemoraError(Exception):
    """Base of all errors that Remora raises on purpose."""


class GraphError(RemoraError):
    """The application's graph cannot be: a cycle, a name twice, something that is not a deployment."""


class OptionError(RemoraError):
    """An option of a deployment is unknown, or of a wrong type or value."""


class BackPressureError(RemoraError):
    """Every replica is full and so is the queue; answered as 503 with Retry-After."""


class DeploymentUnavailable(RemoraError):
    """There is no such deployment, or none of its replicas took the request in time."""


class ReplicaUnavailableError(RemoraError):
    """The replica vanished while it worked on the request, which may have had effects."""


class RequestCancelledError(RemoraError):
    """The request was cancelled by its caller."""


class ProtocolError(RemoraError):
    """The other end of a connection broke the protocol, or is not who it has to be."""
