"""When the operator wants room to be made."""

from __future__ import annotations

import pytest

from remora_api import wire
from remora_operator.crowded import crowded

CPU, GPU = wire.GroupTarget(name="cpu", template="t1"), wire.GroupTarget(name="gpu", template="t1")
PODS = (("cpu", "t1", False), ("cpu", "t1", False), ("gpu", "t1", False))


def deployment(name: str, total: int, desired: int, *, failing: bool = False) -> wire.DeploymentStatus:
    return wire.DeploymentStatus(
        name=name, desired=desired, ready=total, updated=total, total=total, version="v", failing=failing
    )


def status(*deployments: wire.DeploymentStatus) -> wire.ApplicationStatus:
    built = wire.BuildStatus(state=wire.BuildState.BUILT)
    return wire.ApplicationStatus(application="app", generation=1, revision="r1", build=built, deployments=deployments)


def nodes(*pods: tuple[str, str, bool]) -> dict[str, wire.NodeStatus]:
    return {
        f"pod-{index}": wire.NodeStatus(
            name=f"pod-{index}", group=group, template=template, replicas=1, draining=leaves
        )
        for index, (group, template, leaves) in enumerate(pods)
    }


MISSING = status(deployment("A", 2, 2), deployment("G", 0, 1))


def test_what_is_missing_though_all_pods_are_there_is_named() -> None:
    assert crowded(MISSING, (CPU, GPU), {"cpu": 2, "gpu": 1}, nodes(*PODS)) == ("G",)


@pytest.mark.parametrize(
    "pods",
    [
        pytest.param(PODS[1:], id="a pod is still to come"),
        pytest.param((*PODS, ("cpu", "t1", False)), id="a pod is still to go"),
        pytest.param((*PODS, ("cpu", "t0", False)), id="a pod of another template is there"),
        pytest.param((("cpu", "t1", True), *PODS[1:]), id="a pod is leaving"),
    ],
)
def test_while_pods_come_and_go_nothing_is_named(pods: tuple[tuple[str, str, bool], ...]) -> None:
    assert crowded(MISSING, (CPU, GPU), {"cpu": 2, "gpu": 1}, nodes(*pods)) == ()


def test_who_cannot_start_lacks_no_room() -> None:
    assert crowded(status(deployment("G", 0, 1, failing=True)), (GPU,), {"gpu": 1}, nodes(PODS[2])) == ()


def test_nobody_known_is_nobody_named() -> None:
    assert crowded(None, (GPU,), {"gpu": 1}, nodes(PODS[2])) == ()
    assert crowded(MISSING, (GPU,), {"gpu": 1}, None) == ()
