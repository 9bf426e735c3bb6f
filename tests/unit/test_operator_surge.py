"""Surge: pods of two templates together."""

from __future__ import annotations

import pytest

from remora_api import wire
from remora_operator.surge import fresh_needs, is_stuck, room, yielding
from tests.fakes.applications import deployment, pod


def told(desired: int, total: int, updated: int) -> wire.ApplicationStatus:
    return wire.ApplicationStatus(
        application="app",
        generation=1,
        revision="r",
        build=wire.BuildStatus(state=wire.BuildState.BUILT),
        deployments=(deployment("A", desired, total=total, updated=updated),),
    )


@pytest.mark.parametrize(
    ("desired", "total", "updated", "surge", "fresh"),
    [
        pytest.param(4, 4, 0, 1, 1, id="the first is the surge"),
        pytest.param(4, 5, 1, 1, 1, id="it is there, and an old one still"),
        pytest.param(4, 4, 1, 1, 2, id="the old one has gone"),
        pytest.param(4, 4, 4, 1, 4, id="done"),
        pytest.param(4, 4, 0, 0, 0, id="without a surge the old go first"),
        pytest.param(4, 3, 0, 0, 1, id="and the new follow"),
        pytest.param(1, 1, 0, 1, 1, id="one for one"),
        pytest.param(2, 9, 0, 1, 0, id="far too many"),
    ],
)
def test_new_replicas_have_what_the_surge_leaves(
    desired: int, total: int, updated: int, surge: int, fresh: int
) -> None:
    (need,) = fresh_needs(told(desired, total, updated), surge)
    assert need.replicas == fresh


@pytest.mark.parametrize(
    ("wanted", "present", "fresh", "rolling", "build", "pods"),
    [
        pytest.param(4, 1, 0, False, False, 4, id="no rollout"),
        pytest.param(4, 0, None, True, True, 1, id="one to import the code on"),
        pytest.param(4, 0, None, True, False, 0, id="which has to wait"),
        pytest.param(4, 1, 2, True, True, 2, id="as the surge says"),
        pytest.param(4, 3, 1, True, True, 3, id="never back"),
        pytest.param(2, 3, 1, True, True, 2, id="but for who wants fewer"),
        pytest.param(0, 0, None, True, True, 0, id="nobody needs any"),
    ],
)
def test_room(wanted: int, present: int, fresh: int | None, rolling: bool, build: bool, pods: int) -> None:
    assert room(wanted, present, fresh, is_rolling=rolling, may_build=build) == pods


NEW = (wire.GroupTarget(name="default", template="t2"),)


def test_a_new_pod_without_a_node_is_what_a_rollout_is_stuck_at() -> None:
    nowhere = pod("w", template="t2", trouble="Unschedulable: 0/2 nodes are available", is_ready=False)
    assert is_stuck([nowhere], NEW, 1)
    assert not is_stuck([pod("w", template="t2")], NEW, 1)
    assert not is_stuck([pod("w", template="t1", trouble=nowhere.trouble)], NEW, 1), "an old one is no matter"
    assert not is_stuck([nowhere], NEW, 2), "nor is another Ray cluster's"


def test_one_of_several_goes_first_but_never_the_only_one() -> None:
    target = wire.Target(
        application="app",
        generation=1,
        revision="r",
        import_path="m:a",
        deployments=(
            wire.DeploymentOverride(name="B", replicas=3),
            wire.DeploymentOverride(name="C", max_unavailable=0),
        ),
    )
    told = yielding(target, [deployment("A", 1), deployment("B", 3), deployment("C", 3), deployment("D", 2)])
    assert {it.name: it.max_unavailable for it in told.deployments} == {"B": 1, "C": 0, "D": 1}
    assert next(it for it in told.deployments if it.name == "B").replicas == 3
