"""What serve.status() makes of the controller's counts."""

from __future__ import annotations

from typing import Any

import pytest

from remora.compat import status
from remora_api.wire import ApplicationStatus, BuildState, BuildStatus, DeploymentStatus


def application(*deployments: dict[str, Any], build: BuildState = BuildState.BUILT, message: str = "") -> Any:
    counted = [
        DeploymentStatus(**{"name": "D", "desired": 1, "ready": 1, "updated": 1, "total": 1, "version": "v", **given})
        for given in deployments
    ]
    found = ApplicationStatus(
        application="shop",
        generation=1,
        revision="r",
        build=BuildStatus(state=build, message=message),
        deployments=tuple(counted),
    )
    return status.of((found,), deployed_at={"shop": 12.5}, proxies=("p",)).applications["shop"]


def test_nothing_runs_before_anything_is_run() -> None:
    assert status.ServeStatus() == status.ServeStatus({}, {}, None)


def test_what_serves_is_running_and_healthy() -> None:
    found = application({"name": "A"}, {"name": "B", "desired": 3, "ready": 3, "updated": 3, "total": 3})
    assert (found.status, found.message, found.last_deployed_time_s) == ("RUNNING", "", 12.5)
    assert found.deployments["A"].status == "HEALTHY"
    assert found.deployments["B"].replica_states == {"RUNNING": 3}


@pytest.mark.parametrize(
    ("counts", "states"),
    [
        ({"desired": 2, "ready": 1, "updated": 1, "total": 2}, {"RUNNING": 1, "STARTING": 1}),
        ({"ready": 2, "updated": 1, "total": 3}, {"RUNNING": 2, "STOPPING": 1}),
        ({"desired": 0, "ready": 0, "updated": 0, "total": 0}, {}),
    ],
    ids=["starting", "stopping", "none"],
)
def test_replicas_are_counted_by_state(counts: dict[str, int], states: dict[str, int]) -> None:
    assert application(counts).deployments["D"].replica_states == states


def test_an_application_deploys_until_all_is_as_wanted() -> None:
    assert application({"desired": 2}).status == "DEPLOYING"
    assert application(build=BuildState.BUILDING).status == "DEPLOYING"


def test_failures_are_said_with_their_message() -> None:
    found = application({"updated": 0, "failing": True, "message": "no weights"})
    assert (found.status, found.message) == ("DEPLOY_FAILED", "no weights")
    assert found.deployments["D"].status == "DEPLOY_FAILED"
    built = application(build=BuildState.FAILED, message="no module")
    assert (built.status, built.message) == ("DEPLOY_FAILED", "no module")
