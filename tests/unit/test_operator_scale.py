"""Scale: only empty pods are given to a ReplicaSet to delete."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from remora_api import wire
from remora_operator.observed import Pod
from remora_operator.scale import DRAINED_COST, Step, deletion_rank, step
from tests.fakes.applications import NOW, node, pod


def nodes(*statuses: wire.NodeStatus) -> dict[str, wire.NodeStatus]:
    return {it.name: it for it in statuses}


def test_grows_at_once() -> None:
    assert step(1, 3, [pod("a")], nodes(node("a", 1))) == Step(replicas=3)


def test_drains_the_pod_with_the_fewest_replicas_first() -> None:
    assert step(2, 1, [pod("a"), pod("b")], nodes(node("a", 3), node("b", 1))) == Step(replicas=2, drain=("b",))


def test_goes_on_with_the_drain_that_has_begun() -> None:
    known = nodes(node("a", 3, draining=True), node("b", 1))
    assert step(2, 1, [pod("a"), pod("b")], known).drain == ("a",)


def test_marks_a_drained_pod_before_it_shrinks() -> None:
    pods = [pod("a"), pod("b")]
    known = nodes(node("a", 2), node("b", 0, draining=True))
    assert step(2, 1, pods, known) == Step(replicas=2, drain=("b",), costs=(("b", DRAINED_COST),))
    pods = [pod("a"), pod("b", deletion_cost=DRAINED_COST)]
    assert step(2, 1, pods, known) == Step(replicas=1, drain=("b",))


def test_an_unready_pod_that_is_busy_comes_first_in_a_replica_sets_order_so_nothing_shrinks() -> None:
    pods = [pod("busy", is_ready=False), pod("empty", deletion_cost=DRAINED_COST)]
    known = nodes(node("busy", 2), node("empty", 0, draining=True))
    assert step(2, 1, pods, known).replicas == 2


def test_a_pod_that_never_joined_goes_without_a_drain() -> None:
    pods = [pod("a"), pod("new", is_ready=False, node="", phase="Pending")]
    assert step(2, 1, pods, nodes(node("a", 1))).replicas == 1


def test_nothing_shrinks_while_the_controller_does_not_answer() -> None:
    assert step(3, 1, [pod("a"), pod("b"), pod("c")], None) == Step(replicas=3)


def test_a_change_of_mind_takes_the_mark_away() -> None:
    pods = [pod("a"), pod("b", deletion_cost=DRAINED_COST)]
    assert step(2, 2, pods, nodes(node("a", 1), node("b"))) == Step(replicas=2, costs=(("b", 0),))


def test_pods_that_do_not_exist_are_given_up_first() -> None:
    assert step(5, 3, [pod("a"), pod("b"), pod("c")], nodes(node("a", 1), node("b", 1), node("c", 1))).replicas == 3


def test_a_pod_that_was_given_up_and_is_still_there_is_not_given_up_twice() -> None:
    pods = [pod("busy"), pod("late", is_ready=False)]
    known = nodes(node("busy", 2, draining=True))
    assert step(2, 0, pods, known).replicas == 1
    assert step(1, 0, pods, known).replicas == 1


def test_nothing_shrinks_while_a_replica_set_counts_pods_that_are_not_known_here() -> None:
    pods = [pod("busy"), pod("empty", deletion_cost=DRAINED_COST)]
    known = nodes(node("busy", 2), node("empty", 0, draining=True))
    assert step(3, 1, pods, known, is_settled=False).replicas == 3


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[Pod], dict[str, wire.NodeStatus]]:
    pods, known = [], {}
    for index in range(draw(st.integers(0, 6))):
        name = f"p{index}"
        pods.append(
            pod(
                name,
                is_ready=draw(st.booleans()),
                node=draw(st.sampled_from(["", "n1", "n2"])),
                phase=draw(st.sampled_from(["Pending", "Running"])),
                deletion_cost=draw(st.sampled_from([0, DRAINED_COST])),
                created=NOW - timedelta(seconds=draw(st.integers(0, 9))),
            )
        )
        if draw(st.booleans()):
            known[name] = node(name, draw(st.integers(0, 2)), draining=draw(st.booleans()))
    return pods, known


@given(situations(), st.integers(0, 6))
def test_a_replica_set_never_deletes_a_pod_with_replicas(
    situation: tuple[list[Pod], dict[str, wire.NodeStatus]], wanted: int
) -> None:
    pods, known = situation
    decided = step(len(pods), wanted, pods, known)
    deleted = sorted(pods, key=deletion_rank)[: max(0, len(pods) - decided.replicas)]
    assert all(known[it.name].replicas == 0 for it in deleted if it.name in known)
    assert decided.replicas >= min(wanted, len(pods))
