"""Two revisions behind one proxy, over real sockets: shares, rules, known clients, repeated requests, and leaving."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from remora.http_client import SignedClient
from remora.proxy.server import ProxyServer
from remora_api.wire import (
    ApplicationRouting,
    ControllerEndpoint,
    Mirror,
    ReplicaAddress,
    RouteRule,
    Routing,
)
from tests.fakes.processes import proxy
from tests.fakes.services import Steered, replica, snapshot, until

OLD, NEW = "http://127.0.0.1:9/old", "http://127.0.0.1:9/new"
"""Of controllers that nobody runs: the tests say themselves what they would."""


def routed(version: int, weight: int, **more: Any) -> Routing:
    controllers = (
        ControllerEndpoint(url=OLD, weight=100 - weight, revision="old"),
        ControllerEndpoint(url=NEW, weight=weight, revision="new"),
    )
    return Routing(
        version=version, applications=(ApplicationRouting(**{"application": "app", "controllers": controllers} | more),)
    )


@asynccontextmanager
async def two(
    old: ReplicaAddress | None, new: ReplicaAddress | None, weight: int, **more: Any
) -> AsyncIterator[tuple[ProxyServer, httpx.AsyncClient]]:
    server = proxy(hold_s=2.0)
    await server.start()
    try:
        server.routing.apply(routed(1, weight, **more))
        for url, address in ((OLD, old), (NEW, new)):
            cluster = server.router.cluster(url)
            cluster.update(snapshot(1, [address] if address else []))
            pool = cluster.ingress("app")
            assert pool is not None
            await until(lambda pool=pool, address=address: pool.ready or not address)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=10) as client:
            yield server, client
    finally:
        await server.stop()


async def figures(server: ProxyServer) -> dict[str, dict[str, Any]]:
    async with SignedClient(f"http://127.0.0.1:{server.admin_port}", "proxy-key") as operator:
        told = json.loads((await operator.get("/v1/figures", {}, timeout_s=5)).body)
    return {it["revision"]: it for it in told["revisions"]}


@pytest.mark.parametrize("body", [b"", b"x" * 100_000], ids=["short way", "long way"])
async def test_each_revision_gets_its_share_and_is_counted_for_itself(body: bytes) -> None:
    async with (
        replica(Steered("old"), name="app#Main#o") as (_, first),
        replica(Steered("new"), name="app#Main#n") as (_, second),
        two(first, second, 50) as (server, client),
    ):
        answers = [(await client.post("/", content=body)).text for _ in range(400)]
        # Six standard deviations: it fails once in 500 million runs.
        assert 140 < answers.count("new") < 260
        await client.get("/raise")
        told = await figures(server)
        assert told["new"]["requests"] + told["old"]["requests"] == 401
        assert told["new"]["errors"] + told["old"]["errors"] == 1
        assert abs(told["new"]["requests"] - answers.count("new")) <= 1
        text = (await client.get(f"http://127.0.0.1:{server.admin_port}/metrics")).text
        assert 'remora_proxy_revision_requests_total{application="app",revision="new",code="200"}' in text


async def test_a_revision_that_is_tried_again_begins_with_no_figures() -> None:
    async with (
        replica(Steered("old"), name="app#Main#o") as (_, first),
        replica(Steered("new"), name="app#Main#n") as (_, second),
        two(first, second, 100) as (server, client),
    ):
        await client.get("/raise")
        assert (await figures(server))["new"]["errors"] == 1
        # Aborted: the Ray cluster of the other has all requests, and no name beside itself. Then the same again.
        server.routing.apply(routed(2, 0, controllers=(ControllerEndpoint(url=OLD),)))
        assert await figures(server) == {}
        server.routing.apply(routed(3, 0))
        assert (await client.get("/")).text == "old"
        assert {name: it["requests"] for name, it in (await figures(server)).items()} == {"old": 1}


async def test_a_preview_header_reaches_what_has_no_share_and_nothing_else_does() -> None:
    rules = (RouteRule(revision="new", header="x-remora-preview"),)
    async with (
        replica(Steered("old"), name="app#Main#o") as (_, first),
        replica(Steered("new"), name="app#Main#n") as (_, second),
        two(first, second, 0, rules=rules) as (_, client),
    ):
        assert {(await client.get("/")).text for _ in range(30)} == {"old"}
        assert {(await client.get("/", headers={"X-Remora-Preview": "1"})).text for _ in range(10)} == {"new"}


async def test_a_preview_path_reaches_the_new_revision_alone_until_it_is_routed_no_more() -> None:
    async with (
        replica(Steered("old"), name="app#Main#o") as (_, first),
        replica(Steered("new"), name="app#Main#n") as (_, second),
        two(first, second, 0) as (server, client),
    ):
        whole = routed(2, 0)
        (application,) = whole.applications
        preview = application.but(route_prefix="/preview", controllers=application.controllers[1:])
        server.routing.apply(whole.but(applications=(application, preview)))
        for path, answer in (("/", "old"), ("/preview", "new"), ("/preview/a?b=c", "new"), ("/previews", "old")):
            assert {(await client.get(path)).text for _ in range(5)} == {answer}, path
        server.routing.apply(routed(3, 100))
        assert (await client.get("/preview")).text == "new"
        assert (await client.get("/")).text == "new"


@pytest.mark.parametrize("body", [b"", b"x" * 100_000], ids=["short way", "long way"])
async def test_a_client_is_given_one_cookie_and_stays(body: bytes) -> None:
    async with (
        replica(Steered("old"), name="app#Main#o") as (_, first),
        replica(Steered("new"), name="app#Main#n") as (_, second),
        two(first, second, 50, sticky_cookie="who") as (server, _),
    ):
        places = set()
        for _ in range(20):
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=10) as client:
                first_answer = await client.post("/", content=body)
                assert len(first_answer.headers.get_list("set-cookie")) == 1
                rest = [await client.post("/", content=body) for _ in range(5)]
                assert {it.text for it in rest} == {first_answer.text}
                assert not any("set-cookie" in it.headers for it in rest)
                places.add(first_answer.text)
        assert places == {"old", "new"}


@pytest.mark.parametrize("length", [10, 60_000])
async def test_requests_are_repeated_and_their_answers_are_never_seen(length: int) -> None:
    old, new = Steered("old"), Steered("new")
    async with (
        replica(old, name="app#Main#o") as (_, first),
        replica(new, name="app#Main#n") as (_, second),
        two(first, second, 0, mirror=Mirror(revision="new", percent=100)) as (server, client),
    ):
        body = b"x" * length
        for _ in range(10):
            assert (await client.post("/echo", content=body)).content == body
        assert (await client.get("/")).text == "old"
        await until(lambda: len(new.scopes) == 11)
        assert len(old.scopes) == 11
        assert (b"x-remora-mirrored", b"1") in new.scopes[0]["headers"]
        assert all(name != b"x-remora-mirrored" for name, _ in old.scopes[0]["headers"])
        await until(lambda: server._app.figures.mirrored["app", "new", "answered"] == 11)
        assert (await figures(server))["new"]["requests"] == 11


async def test_what_a_repeated_request_meets_is_nothing_to_its_client() -> None:
    new = Steered("new")
    async with (
        replica(Steered("old"), name="app#Main#o") as (_, first),
        replica(new, name="app#Main#n", max_ongoing_requests=1) as (_, second),
        two(first, second, 0, mirror=Mirror(revision="new", percent=100)) as (server, client),
    ):
        mirrored = server._app.figures.mirrored
        assert (await client.get("/raise")).status_code == 500
        await until(lambda: mirrored["app", "new", "failed"] == 1)
        new.gate.clear()
        waiting = asyncio.create_task(client.get("/wait"))
        await until(new.begun.is_set)
        assert (await client.get("/")).text == "old"
        assert mirrored["app", "new", "left out"] == 1
        waiting.cancel()


async def test_a_revision_that_is_not_there_costs_nobody_an_answer() -> None:
    rules = (RouteRule(revision="new", header="x-beta"),)
    async with (
        replica(Steered("old"), name="app#Main#o") as (_, first),
        two(first, None, 50, rules=rules) as (_, client),
    ):
        assert {(await client.get("/")).text for _ in range(30)} == {"old"}
        assert (await client.get("/", headers={"x-beta": "1"})).text == "old"


async def test_what_is_under_way_on_a_revision_that_leaves_is_finished() -> None:
    old = Steered("old")
    async with (
        replica(old, name="app#Main#o") as (_, first),
        replica(Steered("new"), name="app#Main#n") as (_, second),
        two(first, second, 0) as (server, client),
    ):
        waiting = asyncio.create_task(client.get("/wait"))
        await until(old.begun.is_set)
        server.routing.apply(routed(2, 100))
        only = (ControllerEndpoint(url=NEW),)
        server.routing.apply(routed(3, 100, controllers=only))
        assert {(await client.get("/")).text for _ in range(10)} == {"new"}
        old.gate.set()
        answer = await waiting
        assert (answer.status_code, answer.text) == (200, "old")
        await until(lambda: not server.router._closing)


async def test_who_waits_for_a_revision_that_leaves_is_served_by_the_other() -> None:
    old = Steered("old")
    async with (
        replica(old, name="app#Main#o", max_ongoing_requests=1) as (_, first),
        replica(Steered("new"), name="app#Main#n") as (_, second),
        two(first, second, 0) as (server, client),
    ):
        busy = asyncio.create_task(client.get("/wait"))
        await until(old.begun.is_set)
        pool = server.router.cluster(OLD).ingress("app")
        assert pool is not None
        queued = [asyncio.create_task(client.post("/echo", content=b"x")) for _ in range(3)]
        await until(lambda: pool.queued == 3)
        server.routing.apply(routed(2, 100, controllers=(ControllerEndpoint(url=NEW),)))
        assert [(await it).status_code for it in queued] == [200, 200, 200]
        old.gate.set()
        assert (await busy).text == "old"
