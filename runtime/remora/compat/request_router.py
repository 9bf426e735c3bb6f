"""Stands for `ray.serve.request_router`: what request routers of users' own are made of."""

from remora.handle.identity import ReplicaID
from remora.routing.mixins import FIFOMixin, LocalityMixin, MultiplexMixin
from remora.routing.replica import RunningReplica
from remora.routing.request import PendingRequest
from remora.routing.request_router import RequestRouter


class ReplicaResult:
    """Annotates what `on_request_routed` is given of the call's result. Here that is None: results pass routers by."""


__all__ = [
    "FIFOMixin",
    "LocalityMixin",
    "MultiplexMixin",
    "PendingRequest",
    "ReplicaID",
    "ReplicaResult",
    "RequestRouter",
    "RunningReplica",
]
