"""Errors that users of Remora see. Names that Ray Serve has are Ray Serve's."""

from __future__ import annotations

import math


class RemoraError(Exception):
    """Base of all errors that Remora raises on purpose."""


class GraphError(RemoraError):
    """The application's graph cannot be: a cycle, a name twice, something that is not a deployment."""


class CannotPickle(GraphError, TypeError):
    """A deployment's class, or one of its bind arguments, cannot be pickled, so it cannot reach a replica."""


class OptionError(RemoraError, ValueError, TypeError):
    """An option of a deployment or handle is unknown, or of a wrong type or value."""


class NoList(RemoraError, TypeError):
    """A batched function returned something else than a list of results."""


class MisuseError(RemoraError, RuntimeError):
    """Something was called where, or when, it cannot work."""


class MissingPackage(RemoraError, ImportError):
    """A Python package that only some applications need is not installed."""


class UnknownMethod(RemoraError, AttributeError):
    """A call names a method that the deployment does not have."""


class BackPressureError(RemoraError):
    """Every replica is full and so is the queue; answered as 503 with Retry-After, or as the deployment says."""

    def __init__(
        self,
        num_queued_requests: int = 0,
        max_queued_requests: int = 0,
        status_code: int = 503,
        retry_after_s: float | None = None,
        deployment: str = "",
        text: str = "",
    ) -> None:
        super().__init__(num_queued_requests, max_queued_requests, status_code, retry_after_s, deployment, text)
        self.num_queued_requests = num_queued_requests
        self.max_queued_requests = max_queued_requests
        self.status_code = status_code
        """Of the answer to an HTTP request that ends with this error."""
        self.retry_after_s = retry_after_s
        """Seconds after which the client may try again, where the deployment says so."""
        self.deployment = deployment
        self._text = text

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer: Retry-After in whole seconds (RFC 9110, 10.2.3); 1 for a 503 that says none."""
        if self.retry_after_s is None:
            return {"retry-after": "1"} if self.status_code == 503 else {}
        return {"retry-after": str(math.ceil(self.retry_after_s))}

    @property
    def message(self) -> str:
        """Say which queue is full."""
        if self._text:
            return self._text
        of = f" of deployment {self.deployment!r}" if self.deployment else ""
        return (
            f"all replicas{of} are full and {self.num_queued_requests} requests wait already "
            f"(num_queued_requests={self.num_queued_requests}, max_queued_requests={self.max_queued_requests})"
        )

    def __str__(self) -> str:
        return self.message


class _Told(RemoraError):
    """An error whose text is all that it has."""

    @property
    def message(self) -> str:
        """The text."""
        return str(self)


class DeploymentUnavailable(_Told):
    """There is no such deployment, or none of its replicas took the request in time."""


class ReplicaUnavailableError(_Told):
    """The replica vanished while it worked on the request, which may have had effects, or before it was sent there."""


class RequestCancelledError(RemoraError):
    """The request was cancelled by its caller."""

    def __init__(self, request_id: str = "", reason: str = "") -> None:
        super().__init__(request_id, reason)
        self.request_id = request_id
        self.reason = reason

    def __str__(self) -> str:
        which = f"Request {self.request_id}" if self.request_id else "Request"
        return f"{which} was cancelled: {self.reason}" if self.reason else f"{which} was cancelled."


class gRPCStatusError(RemoraError):
    """What user code raised after it had set a gRPC status, which the caller gets."""

    def __init__(self, original_exception: BaseException, code: object = None, details: str | None = None) -> None:
        super().__init__(original_exception, code, details)
        self.original_exception = original_exception
        self.grpc_code = code
        """A `grpc.StatusCode`; None when none was set."""
        self.grpc_details = details

    def __str__(self) -> str:
        return str(self.original_exception)


class ProtocolError(RemoraError):
    """The other end of a connection broke the protocol, or is not who it has to be."""
