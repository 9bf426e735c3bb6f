"""Parts that request routers are put together from: order, locality, and multiplexed models."""

from __future__ import annotations

from remora.handle.identity import ReplicaID
from remora.routing.replica import RunningReplica
from remora.routing.request import PendingRequest


class FIFOMixin:
    """Calls are routed in the order in which they came. They are anyway: every call waits for its own choice only."""


class LocalityMixin:
    """Prefers replicas on this process's own node."""

    _replicas: dict[ReplicaID, RunningReplica]
    _self_node_id: str

    def apply_locality_routing(self, pending_request: PendingRequest | None = None) -> set[ReplicaID]:
        """Return the replicas on this node the first time, all of them later, or where there are none here."""
        here = {id for id, replica in self._replicas.items() if self._is_here(replica)}
        if pending_request is None or not here or pending_request.routing_context.tried_same_node:
            return set(self._replicas)
        pending_request.routing_context.tried_same_node = True
        return here

    def rank_replicas_via_locality(self, replicas: list[RunningReplica]) -> list[list[RunningReplica]]:
        """Return the replicas of this node, of this zone (which is not known), and the others."""
        here = [replica for replica in replicas if self._is_here(replica)]
        return [here, [], [replica for replica in replicas if not self._is_here(replica)]]

    def _is_here(self, replica: RunningReplica) -> bool:
        return bool(self._self_node_id) and replica.node_id == self._self_node_id


class MultiplexMixin:
    """Prefers replicas that hold the model that a call names."""

    _replicas: dict[ReplicaID, RunningReplica]

    def apply_multiplex_routing(self, pending_request: PendingRequest | None = None) -> set[ReplicaID]:
        """Return those that hold the call's model; the second time those with the fewest models; then all."""
        model_id = pending_request.metadata.multiplexed_model_id if pending_request is not None else ""
        if pending_request is None or not model_id:
            return set(self._replicas)
        tried = pending_request.routing_context
        holding, fewest, _ = self.rank_replicas_via_multiplex(list(self._replicas.values()), model_id)
        if holding and not tried.tried_first_multiplexed_models:
            tried.tried_first_multiplexed_models = True
            return {replica.replica_id for replica in holding}
        if fewest and not tried.tried_fewest_multiplexed_models:
            tried.tried_fewest_multiplexed_models = True
            return {replica.replica_id for replica in fewest}
        return set(self._replicas)

    def rank_replicas_via_multiplex(
        self, replicas: list[RunningReplica], multiplexed_model_id: str
    ) -> list[list[RunningReplica]]:
        """Return those that hold the model, those of the others with the fewest models, and the rest."""
        holding = [replica for replica in replicas if multiplexed_model_id in replica.multiplexed_model_ids]
        others = [replica for replica in replicas if multiplexed_model_id not in replica.multiplexed_model_ids]
        least = min((len(replica.multiplexed_model_ids) for replica in others), default=0)
        fewest = [replica for replica in others if len(replica.multiplexed_model_ids) == least]
        rest = [replica for replica in others if len(replica.multiplexed_model_ids) != least]
        return [holding, fewest, rest]
