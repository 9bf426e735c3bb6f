"""Demand: worker pods from what the replicas need."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora_api import bundles, wire
from remora_api.ray_labels import may_suit
from remora_api.v1alpha1 import WorkerGroup
from remora_api.wire_group import PlacementGroup, Strategy
from remora_operator.demand import Capacity, Demand, Need, demand, needs_of
from remora_operator.surge import fresh_needs
from tests.fakes.applications import deployment


def group(name: str = "cpu", cpu: int = 2000, *, minimum: int = 0, maximum: int = 10, gpu: float = 0) -> Capacity:
    return Capacity(name, cpu, 0, {"GPU": gpu} if gpu else {}, minimum, maximum)


def need(name: str, replicas: int, cpu: int = 1000, *, spread: bool = False, gpu: float = 0) -> Need:
    custom = {"GPU": gpu} if gpu else {}
    return Need(name, replicas, wire.Resources(cpu_milli=cpu, custom=custom), spread)


@pytest.mark.parametrize(
    ("needs", "groups", "pods"),
    [
        pytest.param([], [group()], {"cpu": 0}, id="nothing needs nothing"),
        pytest.param([], [group(minimum=2)], {"cpu": 2}, id="the minimum is kept"),
        pytest.param([need("A", 3)], [group()], {"cpu": 2}, id="pods are filled"),
        pytest.param([need("A", 9)], [group(maximum=3)], {"cpu": 3}, id="the maximum holds"),
        pytest.param([need("A", 2, spread=True)], [group()], {"cpu": 2}, id="two replicas are spread over two pods"),
        pytest.param([need("A", 2)], [group()], {"cpu": 1}, id="unless they need not be"),
        pytest.param([need("A", 2, spread=True)], [group(maximum=1)], {"cpu": 1}, id="or there is no second pod"),
        pytest.param(
            [need("A", 1, gpu=1), need("B", 2)],
            [group(), group("gpu", 1000, gpu=1)],
            {"cpu": 1, "gpu": 1},
            id="devices choose the group",
        ),
        pytest.param(
            [need("A", 4)], [group(maximum=1), group("more")], {"cpu": 1, "more": 1}, id="the next group takes the rest"
        ),
        pytest.param([need("A", 1), need("B", 4, cpu=250)], [group()], {"cpu": 1}, id="small ones fill the gaps"),
    ],
)
def test_pods_of_each_group(needs: list[Need], groups: list[Capacity], pods: dict[str, int]) -> None:
    assert demand(needs, groups).pods == pods


def test_a_replica_larger_than_any_pod_is_named() -> None:
    assert demand([need("Big", 1, cpu=4000), need("A", 1)], [group()]).unplaced == ("Big",)


def test_memory_counts_only_where_the_group_has_an_amount() -> None:
    large = Need("A", 2, wire.Resources(cpu_milli=100, memory_bytes=3 << 30), spread=False)
    assert demand([large], [group()]).pods == {"cpu": 1}
    assert demand([large], [Capacity("cpu", 2000, 4 << 30, {}, 0, 10)]).pods == {"cpu": 2}


@given(
    st.lists(
        st.builds(need, st.sampled_from("ABCDEF"), st.integers(0, 5), st.integers(100, 2500), spread=st.booleans()),
        max_size=6,
        unique_by=lambda it: it.deployment,
    ),
    st.integers(0, 3),
    st.integers(1, 8),
)
def test_never_outside_the_bounds_and_enough_cpu_for_what_is_placed(needs: list[Need], low: int, high: int) -> None:
    answer = demand(needs, [group(minimum=min(low, high), maximum=high)])
    assert min(low, high) <= answer.pods["cpu"] <= high
    if not answer.unplaced:
        assert answer.pods["cpu"] * 2000 >= sum(it.replicas * it.resources.cpu_milli for it in needs)


def test_a_deployment_that_is_being_replaced_needs_room_for_its_surge() -> None:
    rolling = deployment("A", 3, ready=3, updated=1)
    starting = deployment("B", 2, ready=0)
    single = deployment("C", 1, ready=1, updated=0)
    status = wire.ApplicationStatus(
        application="hello",
        generation=1,
        revision="r",
        build=wire.BuildStatus(state=wire.BuildState.BUILT),
        deployments=(rolling, starting, single),
    )
    needs = [(it.deployment, it.replicas, it.spread) for it in needs_of(status, 1)]
    assert needs == [("A", 4, True), ("B", 2, True), ("C", 2, False)]


def test_what_autoscaling_would_like_is_not_what_the_resource_requires() -> None:
    status = wire.ApplicationStatus(
        application="hello",
        generation=1,
        revision="r1",
        build=wire.BuildStatus(state=wire.BuildState.BUILT),
        deployments=(deployment("A", 8, ready=2).but(needed=2, autoscaled=True),),
    )
    assert [it.replicas for it in needs_of(status, 1)] == [8]
    assert [it.replicas for it in needs_of(status, 1, required=True)] == [2]


def test_pods_enough_for_what_each_may_hold() -> None:
    wants = wire.Resources(cpu_milli=100)
    assert demand([Need("A", 5, wants, per_node=2), Need("B", 2, wants, spread=False)], [group()]).pods == {"cpu": 3}
    full = demand([Need("A", 3, wants, per_node=1)], [group(maximum=2)])
    assert (full.pods, full.unplaced) == ({"cpu": 2}, ("A",))
    limited = deployment("A", 2, ready=2, updated=0).but(max_replicas_per_node=1)
    status = wire.ApplicationStatus(
        application="hello",
        generation=1,
        revision="r",
        build=wire.BuildStatus(state=wire.BuildState.BUILT),
        deployments=(limited,),
    )
    assert demand(needs_of(status, 1), [group()]).pods == {"cpu": 3}, "and for the surge"
    assert [it.per_node for it in fresh_needs(status, 1)] == [1]


def grouped(name: str, replicas: int, strategy: str, *parts: dict[str, float]) -> Need:
    group_ = PlacementGroup(bundles=parts, strategy=Strategy(strategy))
    return Need(name, replicas, bundles.total(bundles.of(group_)), spread=False, group=group_)


GPU = {"GPU": 1.0}


@pytest.mark.parametrize(
    ("needs", "groups", "pods"),
    [
        pytest.param([grouped("A", 1, "STRICT_PACK", GPU, GPU)], [group(gpu=2)], {"cpu": 1}, id="packed into one pod"),
        pytest.param([grouped("A", 2, "STRICT_PACK", GPU, GPU)], [group(gpu=3)], {"cpu": 2}, id="each replica"),
        pytest.param([grouped("A", 1, "STRICT_SPREAD", GPU, GPU)], [group(gpu=2)], {"cpu": 2}, id="strictly spread"),
        pytest.param([grouped("A", 2, "STRICT_SPREAD", GPU, GPU)], [group(gpu=2)], {"cpu": 2}, id="pods are shared"),
        pytest.param([grouped("A", 1, "SPREAD", GPU, GPU)], [group(gpu=2)], {"cpu": 2}, id="spread"),
        pytest.param([grouped("A", 1, "SPREAD", GPU, GPU)], [group(gpu=2, maximum=1)], {"cpu": 1}, id="if it may be"),
        pytest.param([grouped("A", 1, "PACK", GPU, GPU)], [group(gpu=2)], {"cpu": 1}, id="packed"),
        pytest.param([grouped("A", 1, "PACK", GPU, GPU)], [group(gpu=1)], {"cpu": 2}, id="divided if no pod is large"),
        pytest.param(
            [grouped("A", 1, "PACK", GPU, GPU)],
            [group("one", gpu=1), group("two", gpu=2)],
            {"one": 0, "two": 1},
            id="packed into the group that is large enough",
        ),
    ],
)
def test_pods_for_placement_groups(needs: list[Need], groups: list[Capacity], pods: dict[str, int]) -> None:
    assert demand(needs, groups) == Demand(pods)


def labelled(strategy: str, *selectors: dict[str, str]) -> Need:
    found = grouped("A", 1, strategy, *[GPU for _ in selectors])
    assert found.group is not None
    return replace(found, group=found.group.but(selectors=selectors))


SSD, HDD = {"disk": "ssd"}, {"disk": "hdd"}
BOTH = [replace(group("hdd", gpu=2), labels=HDD), replace(group("ssd", gpu=2), labels=SSD)]


@pytest.mark.parametrize(
    ("need", "pods", "unsuited"),
    [
        pytest.param(labelled("PACK", SSD, SSD), {"hdd": 0, "ssd": 1}, "", id="packed where the labels are"),
        pytest.param(labelled("STRICT_SPREAD", SSD, SSD), {"hdd": 0, "ssd": 2}, "", id="spread over those"),
        pytest.param(labelled("PACK", SSD, HDD), {"hdd": 1, "ssd": 1}, "", id="divided for their labels"),
        pytest.param(labelled("PACK", {}, SSD), {"hdd": 0, "ssd": 1}, "", id="one of them asks"),
        pytest.param(labelled("SPREAD", {"disk": "!ssd"}), {"hdd": 1, "ssd": 0}, "", id="one asks for another"),
        pytest.param(labelled("SPREAD", {"ray.io/x": "y"}), {"hdd": 1, "ssd": 0}, "", id="nobody knows yet"),
        pytest.param(labelled("PACK", SSD, {"disk": "tape"}), {"hdd": 0, "ssd": 0}, "disk: tape", id="none has them"),
        pytest.param(labelled("STRICT_PACK", SSD, HDD), {"hdd": 0, "ssd": 0}, "disk: ssd, disk: hdd", id="not at once"),
    ],
)
def test_pods_come_of_groups_whose_labels_suit(need: Need, pods: dict[str, int], unsuited: str) -> None:
    expected = Demand(pods, ("A",), {"A": unsuited}) if unsuited else Demand(pods)
    assert demand([need], BOTH) == expected


def test_what_is_too_large_is_not_blamed_on_its_labels() -> None:
    assert demand([labelled("STRICT_PACK", SSD, SSD, SSD)], BOTH) == Demand({"hdd": 0, "ssd": 0}, ("A",))


def test_the_name_of_its_group_is_a_label() -> None:
    given = WorkerGroup.model_validate({"name": "gpu", "rayLabels": {"disk": "ssd"}})
    assert Capacity.of(given).labels == {"disk": "ssd", "remora.dev/group": "gpu"}


@given(
    st.lists(st.sampled_from([SSD, HDD, {}]), min_size=1, max_size=3),
    st.lists(st.sampled_from([SSD, HDD, {"disk": "!ssd"}, {}]), min_size=1, max_size=3),
    st.sampled_from(list(Strategy)),
)
def test_no_pod_comes_of_a_group_that_no_bundle_may_be_on(
    has: list[dict[str, str]], asked: list[dict[str, str]], strategy: Strategy
) -> None:
    groups = [replace(group(str(i), gpu=3), labels=labels) for i, labels in enumerate(has)]
    found = demand([labelled(strategy.value, *asked)], groups)
    for one in groups:
        assert not found.pods[one.group] or any(may_suit(selector, one.labels) for selector in asked)
    together = any(all(may_suit(selector, labels) for selector in asked) for labels in has)
    each = all(any(may_suit(selector, labels) for labels in has) for selector in asked)
    assert (not found.unplaced) is (together if strategy is Strategy.STRICT_PACK else each)
    assert found.unplaced == tuple(found.unsuited), "there is room, so labels are the only reason"


def test_a_group_that_has_no_room_takes_none() -> None:
    answer = demand([grouped("A", 1, "STRICT_SPREAD", GPU, GPU, GPU)], [group(gpu=1, maximum=2)])
    assert answer == Demand({"cpu": 0}, ("A",))
    assert demand([grouped("A", 1, "STRICT_PACK", GPU, GPU)], [group(gpu=1)]).unplaced == ("A",)


def test_needs_know_how_a_replica_may_be_divided() -> None:
    wanted = grouped("A", 1, "SPREAD", GPU, GPU)
    status = wire.ApplicationStatus(
        application="app",
        generation=1,
        revision="r1",
        build=wire.BuildStatus(state=wire.BuildState.BUILT),
        deployments=(
            wire.DeploymentStatus(
                name="A",
                desired=1,
                ready=0,
                updated=0,
                total=0,
                version="v",
                spread=False,
                resources=wanted.resources,
                group=wanted.group,
            ),
        ),
    )
    assert needs_of(status, 0) == fresh_needs(status, 0) == [wanted]


def test_replicas_that_held_more_than_their_successors_are_counted_as_they_are() -> None:
    former = wire.Former(replicas=1, resources=wire.Resources(cpu_milli=2000))
    small = deployment("A", desired=1, ready=1, updated=0, total=1, spread=False).but(
        resources=wire.Resources(cpu_milli=500)
    )
    status = wire.ApplicationStatus(
        application="app",
        generation=1,
        revision="r1",
        build=wire.BuildStatus(state=wire.BuildState.BUILT),
        deployments=(small,),
    )
    assert demand(needs_of(status, 1), [group()]).pods == {"cpu": 1}, "as if both were small"
    known = status.but(deployments=(small.but(former=(former,)),))
    assert demand(needs_of(known, 1), [group()]).pods == {"cpu": 2}
    done = small.but(former=(former,), updated=1)
    assert demand(needs_of(status.but(deployments=(done,)), 1), [group()]).pods == {"cpu": 1}


def test_the_surge_of_gangs_is_a_whole_one() -> None:
    pairs = deployment("A", desired=4, ready=4, updated=0, total=4, spread=False).but(gang_size=2)
    status = wire.ApplicationStatus(
        application="app",
        generation=1,
        revision="r1",
        build=wire.BuildStatus(state=wire.BuildState.BUILT),
        deployments=(pairs,),
    )
    assert [it.replicas for it in needs_of(status, 1)] == [6]
    assert [it.replicas for it in fresh_needs(status, 1)] == [2]
