"""Which key opens which of the controller's endpoints, over a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from remora.compat.status import ApplicationStatus as State
from remora.controller import events
from remora.controller.api import application
from remora.controller.loop import Controller, Overview
from remora.controller.published import Published
from remora.errors import RemoraError
from remora.http_client import Rejected, SignedClient
from remora.replica import program
from remora.replica.program import ReplicaProgram
from remora_api.wire import ApplicationStatus, BuildState, BuildStatus, NodeStatus, Target
from tests.fakes.listening import listening

CONTROL, DATA = "control-key", "data-key"
TARGET = Target(application="app", generation=1, revision="app-1", import_path="m:app").to_json()
STATUS = ApplicationStatus(application="app", generation=1, revision="app-1", build=BuildStatus(state=BuildState.BUILT))
NODE = NodeStatus(name="app-gpu-x7k2p", group="gpu", template="t", replicas=1)


class Told:
    """What the API asks of a controller, which writes down what it is told."""

    epoch = "e1"

    def __init__(self) -> None:
        self.news: list[events.Event] = []
        self.status: Published[Overview] = Published(self.epoch)
        self.routes: Published[Any] = Published(self.epoch)

    def tell(self, event: events.Event) -> None:
        self.news.append(event)

    def definition(self, digest: str) -> bytes | None:
        return b"definition"


@pytest.fixture
def controller() -> Told:
    told = Told()
    told.status.publish(((STATUS,), (NODE,)))
    told.routes.publish(())
    return told


@pytest.fixture
async def url(controller: Told) -> AsyncIterator[str]:
    app = application(cast(Controller, controller), control_key=CONTROL, data_key=DATA)
    async with listening(app) as found:
        yield found


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        pytest.param("PUT", "/v1/targets/app", TARGET, id="set a target"),
        pytest.param("DELETE", "/v1/targets/app", b"", id="delete a target"),
        pytest.param("GET", "/v1/status", b"", id="status with nodes"),
        pytest.param("PUT", "/v1/applications", TARGET, id="write by the replicas' endpoint"),
        pytest.param("DELETE", "/v1/applications/app", b"", id="delete by the replicas' endpoint"),
    ],
)
async def test_the_data_key_changes_nothing_and_sees_no_nodes(
    url: str, controller: Told, method: str, path: str, body: bytes
) -> None:
    async with SignedClient(url, DATA) as client:
        with pytest.raises(Rejected) as refused:
            await client.request(method, path, body)
    assert refused.value.status in {401, 404, 405}
    assert controller.news == []


async def test_the_control_key_does_what_the_data_key_may_not(url: str, controller: Told) -> None:
    async with SignedClient(url, CONTROL) as client:
        await client.put("/v1/targets/app", TARGET)
        await client.delete("/v1/targets/app")
        assert json.loads((await client.get("/v1/status")).body)["nodes"][0]["name"] == NODE.name
    assert controller.news == [events.TargetSet(Target.from_json(TARGET)), events.TargetDeleted("app")]


@pytest.mark.parametrize("path", ["/v1/applications", "/v1/routes", "/v1/definitions/d", "/v1/code/d"])
async def test_one_key_opens_an_endpoint(url: str, path: str) -> None:
    async with SignedClient(url, CONTROL) as client:
        with pytest.raises(Rejected) as refused:
            await client.get(path)
    assert refused.value.status == 401


async def test_applications_are_told_to_replicas_without_the_nodes(url: str) -> None:
    async with SignedClient(url, DATA) as client:
        answer = json.loads((await client.get("/v1/applications")).body)
    assert [each["application"] for each in answer["applications"]] == ["app"]
    assert "nodes" not in answer


async def test_status_in_a_replica_is_ray_serves(url: str) -> None:
    found = await asyncio.to_thread(ReplicaProgram(url, DATA).status)
    assert found.applications["app"].status is State.RUNNING


async def test_status_in_a_replica_says_that_the_controller_recovers(
    url: str, controller: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller.status = Published(controller.epoch)
    monkeypatch.setattr(program, "PATIENCE_S", 0)
    with pytest.raises(RemoraError, match="as it recovers: ask again"):
        await asyncio.to_thread(ReplicaProgram(url, DATA).status)
