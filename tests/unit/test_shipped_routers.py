"""The request routers that come with Remora: turns, and the ring of sessions."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from remora.handle.identity import DeploymentID, ReplicaID
from remora.routing.consistent_hash import ConsistentHashRouter
from remora.routing.round_robin import RoundRobinRouter

OF = DeploymentID("Who", "app")


def replicas(*names: str, models: dict[str, set[str]] | None = None) -> list[Any]:
    held = models or {}
    return [
        SimpleNamespace(replica_id=ReplicaID(name, OF), multiplexed_model_ids=held.get(name, set())) for name in names
    ]


def call(session: str = "", model: str = "", number: int = 0) -> Any:
    context = SimpleNamespace(tried_first_multiplexed_models=False, tried_fewest_multiplexed_models=False)
    about = SimpleNamespace(session_id=session, multiplexed_model_id=model, internal_request_id=f"call {number}")
    return SimpleNamespace(metadata=about, routing_context=context)


def first(router: Any, among: list[Any], pending: Any) -> str:
    return ranks(router, among, pending)[0]


def ranks(router: Any, among: list[Any], pending: Any) -> list[str]:
    found = asyncio.run(router.choose_replicas(among, pending))
    assert all(len(rank) == 1 for rank in found)
    return [str(rank[0].replica_id) for rank in found]


def test_turns_go_round_and_name_the_next_ones() -> None:
    router, all_ = RoundRobinRouter(OF), replicas("c", "a", "b")
    router.update_replicas(all_)
    assert [first(router, all_, call()) for _ in range(4)] == ["a", "b", "c", "a"]
    assert ranks(router, all_, call()) == ["b", "c", "a"]
    assert ranks(router, [], call()) == []


def test_turns_of_a_model_are_its_own() -> None:
    router = RoundRobinRouter(OF)
    all_ = replicas("a", "b", "c", models={"a": {"m"}, "c": {"m"}})
    router.update_replicas(all_)
    assert first(router, all_, call()) == "a"
    assert [first(router, all_, call(model="m")) for _ in range(3)] == ["a", "c", "a"]
    assert first(router, all_, call()) == "b"
    assert first(router, all_, call(model="nobody holds it")) == "b"  # It has the fewest models.


@pytest.fixture
def ring() -> Any:
    made = ConsistentHashRouter(OF)
    made.initialize_state()
    return made


def test_a_session_has_one_replica_whatever_the_order(ring: Any) -> None:
    all_ = replicas("a", "b", "c", "d")
    ring.update_replicas(all_)
    places = {session: first(ring, all_, call(f"{session}")) for session in range(200)}
    assert {first(ring, all_[::-1], call(f"{session}")) == place for session, place in places.items()} == {True}
    assert {*places.values()} == {"a", "b", "c", "d"}


def test_few_sessions_move_when_a_replica_goes(ring: Any) -> None:
    all_ = replicas("a", "b", "c", "d")
    ring.update_replicas(all_)
    before = {session: first(ring, all_, call(f"{session}")) for session in range(200)}
    ring.update_replicas(all_[:3])
    after = {session: first(ring, all_[:3], call(f"{session}")) for session in range(200)}
    assert all(after[session] == place for session, place in before.items() if place != "d")


def test_as_many_others_are_tried_as_it_was_told(ring: Any) -> None:
    all_ = replicas("a", "b", "c", "d")
    ring.update_replicas(all_)
    assert len(set(ranks(ring, all_, call("s")))) == 3
    ring.initialize_state(num_fallback_replicas=0)
    assert len(ranks(ring, all_, call("s"))) == 1
    ring.initialize_state(num_fallback_replicas=9)
    assert len(ranks(ring, all_, call("s"))) == 4


def test_calls_without_a_session_are_spread(ring: Any) -> None:
    all_ = replicas("a", "b", "c")
    ring.update_replicas(all_)
    assert {first(ring, all_, call(number=number)) for number in range(60)} == {"a", "b", "c"}


@pytest.mark.parametrize("wrong", [{"num_virtual_nodes": 0}, {"num_fallback_replicas": -1}])
def test_a_ring_without_points_is_refused(ring: Any, wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least"):
        ring.initialize_state(**wrong)
