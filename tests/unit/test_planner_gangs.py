"""What the planner does with replicas that come in gangs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remora.controller import versions
from remora.controller.actions import Drain, Kill, Start
from remora.controller.lifecycle import Phase
from remora.controller.state import Seat, Serving, World
from remora.controller.status import applications
from remora.types import ReplicaId
from remora_api.autoscaling import Autoscaling
from remora_api.wire import DeploymentOverride
from remora_api.wire_group import Gang, Strategy
from tests.unit.worlds import actions, graph, kinds, node, target, with_replicas, world


def ganged(before: World, *phases: Phase, gang: str = "g1") -> World:
    """Return the world with one gang of A, its members in these phases."""
    ids = tuple(ReplicaId(f"app#A#{len(before.replicas) + rank:08x}") for rank in range(len(phases)))
    for rank, phase in enumerate(phases):
        before = with_replicas(before, "A", phase, seat=Seat(gang, rank, ids))
    return before


PAIRS = Gang(size=2)


def test_a_gang_is_started_as_a_whole_or_not_at_all() -> None:
    four = graph("A", replicas=4, gang=PAIRS)
    starts = actions(world(target(), four, node("n1", cpu_milli=3000)))
    assert [type(it) for it in starts] == [Start, Start]
    first, second = starts
    assert isinstance(first, Start)
    assert isinstance(second, Start)
    assert first.seat is not None
    assert second.seat is not None
    assert first.seat.gang == second.seat.gang
    assert (first.seat.rank, second.seat.rank) == (0, 1)
    assert first.seat.members == second.seat.members == (first.replica, second.replica)
    assert actions(world(target(), four, node("n1", cpu_milli=1000))) == ()
    (status,) = applications(world(target(), four, node("n1", cpu_milli=1000)))
    assert status.deployments[0].message == ("deployment 'A': no workers have room for 2 times 1 CPU at once")


def test_a_packed_gang_is_on_one_node_if_it_can_and_a_spread_one_on_several() -> None:
    there = [node("n1", cpu_milli=1000), node("n2", cpu_milli=2000), node("n3", cpu_milli=1000)]
    starts = actions(world(target(), graph("A", replicas=2, gang=PAIRS), *there))
    assert [it.node for it in starts if isinstance(it, Start)] == ["n2", "n2"]
    spread = Gang(size=2, strategy=Strategy.SPREAD)
    starts = actions(world(target(), graph("A", replicas=2, gang=spread), *there))
    assert len({it.node for it in starts if isinstance(it, Start)}) == 2
    starts = actions(world(target(), graph("A", replicas=2, gang=PAIRS), there[0], there[2]))
    assert [it.node for it in starts if isinstance(it, Start)] == ["n1", "n3"]


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.STOPPING])
def test_what_is_left_of_a_gang_goes_when_a_member_fails_and_another_gang_stays(phase: Phase) -> None:
    before = world(target(), graph("A", replicas=4, gang=PAIRS), node("n1", cpu_milli=9000))
    before = ganged(ganged(before, Phase.RUNNING, Phase.RUNNING), Phase.RUNNING, phase, gang="g2")
    found = [it.replica for it in actions(before) if isinstance(it, Kill)]
    assert found[-1] == "app#A#00000002"
    assert set(found) <= {"app#A#00000002", "app#A#00000003"}
    gone = replace(before, replicas={id_: it for id_, it in before.replicas.items() if id_ != "app#A#00000003"})
    assert [it.replica for it in actions(gone) if isinstance(it, Kill)] == ["app#A#00000002"]


def test_a_gang_one_of_whose_pods_ends_drains_as_a_whole() -> None:
    before = world(target(), graph("A", replicas=2, gang=PAIRS))
    found = actions(ganged(before, Phase.RUNNING, Phase.DRAINING))
    assert [it.replica for it in found if isinstance(it, Drain)] == ["app#A#00000000"]


def test_gangs_are_replaced_one_after_the_other() -> None:
    before = world(target(), graph("A", replicas=4, gang=PAIRS), node("n1", cpu_milli=9000))
    before = ganged(ganged(before, Phase.RUNNING, Phase.RUNNING), Phase.RUNNING, Phase.RUNNING, gang="g2")
    stale = replace(before, replicas={id_: replace(it, version="old") for id_, it in before.replicas.items()})
    assert kinds(stale) == ["Start", "Start"], "a surge of one replica is one of a gang"
    ready = ganged(stale, Phase.RUNNING, Phase.RUNNING, gang="g3")
    assert [it.replica for it in actions(ready) if isinstance(it, Drain)] == ["app#A#00000000", "app#A#00000001"]


def test_replicas_that_come_in_gangs_are_counted_in_whole_ones() -> None:
    built = graph("A", replicas=4, gang=PAIRS)
    (odd,) = versions.resolve(Serving(target(ingress_replicas=3), built))
    assert (odd.count, odd.reason) == (4, "spec.replicas: 3, in gangs of 2")
    assert versions.resolve(Serving(target(), built))[0].reason == "num_replicas in the code"
    limited = DeploymentOverride(name="A", autoscaling=Autoscaling(min_replicas=5, max_replicas=5))
    assert versions.resolve(Serving(target(deployments=(limited,)), built))[0].count == 4


def test_gangs_make_way_for_replicas_on_their_own() -> None:
    before = world(target(), graph("A", replicas=2), node("n1", cpu_milli=9000))
    stale = ganged(before, Phase.RUNNING, Phase.RUNNING)
    stale = replace(stale, replicas={id_: replace(it, version="old") for id_, it in stale.replicas.items()})
    assert kinds(stale) == ["Start", "Start"]
    ready = with_replicas(stale, "A", Phase.RUNNING, Phase.RUNNING)
    assert kinds(ready) == ["Drain", "Drain"]
