"""RoundRobinRouter: one replica after the other, in turns."""

from __future__ import annotations

from typing import Any

from remora.routing.mixins import FIFOMixin, MultiplexMixin
from remora.routing.replica import RunningReplica
from remora.routing.request import PendingRequest
from remora.routing.request_router import RequestRouter


class RoundRobinRouter(FIFOMixin, MultiplexMixin, RequestRouter):
    """Each call goes to the next replica; to the one after it when that is full.

    Calls that name a model take turns among the replicas that hold it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._turns: dict[str, int] = {}
        """By model; "" is no model."""

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """Return the replicas from the next one on, each a rank of its own."""
        model = pending_request.metadata.multiplexed_model_id if pending_request is not None else ""
        first, among = model, candidate_replicas
        if model:
            wanted = self.apply_multiplex_routing(pending_request)
            among = [replica for replica in candidate_replicas if replica.replica_id in wanted]
            if not any(model in replica.multiplexed_model_ids for replica in among):
                first = ""  # Nobody holds it: its first replica is the next of all.
        if not among:
            return []
        ordered = sorted(among, key=lambda replica: replica.replica_id.unique_id)
        turn = self._turns.get(first, 0)
        self._turns[first] = turn + 1
        return [[ordered[(turn + offset) % len(ordered)]] for offset in range(len(ordered))]

    def update_replicas(self, replicas: list[RunningReplica]) -> None:
        """Forget the turns of models that no replica holds any more."""
        super().update_replicas(replicas)
        held = {"", *(model for replica in replicas for model in replica.multiplexed_model_ids)}
        self._turns = {model: turn for model, turn in self._turns.items() if model in held}
