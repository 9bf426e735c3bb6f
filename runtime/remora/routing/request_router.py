"""RequestRouter: the base of request routers of users' own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from remora.handle.identity import DeploymentID, ReplicaID
from remora.routing.replica import RunningReplica
from remora.routing.request import PendingRequest


class RequestRouter(ABC):
    """Decides which replica a call goes to. One instance a process and deployment, on one event loop.

    `choose_replicas` is asked for each call, and again after a moment while no replica that it names has room.
    """

    def __init__(self, deployment_id: DeploymentID, *args: Any, self_node_id: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deployment_id = deployment_id
        self._self_node_id = self_node_id
        self._replicas: dict[ReplicaID, RunningReplica] = {}
        self._replica_id_set: set[ReplicaID] = set()
        self._replicas_list: list[RunningReplica] = []
        self._num_pending = 0

    def initialize_state(self, **kwargs: Any) -> None:  # noqa: B027 - may be left out
        """Take the `request_router_kwargs`; called once, before anything else."""

    @abstractmethod
    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """Return ranks of replicas, the most preferred first; the least loaded one of a rank that has room is taken."""

    def on_request_routed(self, pending_request: PendingRequest, replica_id: ReplicaID, result: Any) -> None:  # noqa: B027 - may be left out
        """Hear that a replica has taken the call."""

    def on_request_completed(self, replica_id: ReplicaID, internal_request_id: str) -> None:  # noqa: B027 - may be left out
        """Hear that the call is over, however it ended."""

    def update_replicas(self, replicas: list[RunningReplica]) -> None:
        """Hear which replicas there are, after every change."""
        self._replicas = {replica.replica_id: replica for replica in replicas}
        self._replica_id_set = set(self._replicas)
        self._replicas_list = list(replicas)

    def select_available_replicas(self, candidates: list[RunningReplica] | None = None) -> list[RunningReplica]:
        """Return those that have room, as far as is known here."""
        among = self._replicas_list if candidates is None else candidates
        return [replica for replica in among if replica.link.has_room]

    def supports_rejection_protocol(self) -> bool:
        """Always: a replica that is full refuses, and the router is asked again."""
        return True

    @property
    def curr_replicas(self) -> dict[ReplicaID, RunningReplica]:
        """All replicas by id."""
        return self._replicas

    @property
    def app_name(self) -> str:
        """Name of the application."""
        return self._deployment_id.app_name

    @property
    def num_pending_requests(self) -> int:
        """Calls that look for a replica."""
        return self._num_pending
