"""HTTP as clients and applications see it, through a proxy: paths, answers, bodies."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from remora import serve
from tests.fakes.served import served
from tests.fakes.services import until
from tests.integration.raw_http import get, raw
from tests.integration.shop import Shop, seen


@pytest.fixture(autouse=True)
def _fresh() -> None:
    seen.clear()


async def test_docs_links_and_redirects_work_under_a_prefix() -> None:
    async with served(Shop.bind(), route_prefix="/api/v1") as api:
        docs = await api.client.get("/api/v1/docs")
        assert (docs.status_code, "/api/v1/openapi.json" in docs.text) == (200, True)
        schema = (await api.client.get("/api/v1/openapi.json")).json()
        assert schema["servers"] == [{"url": "/api/v1"}]
        assert "/items/" in schema["paths"]
        told = (await api.client.get("/api/v1/where")).json()
        assert told == {"path": "/api/v1/where", "root": "/api/v1", "items": f"{api.url}/api/v1/items/"}
        moved = await api.client.get("/api/v1/items")
        assert (moved.status_code, moved.headers["location"]) == (307, f"{api.url}/api/v1/items/")
        assert (await api.client.get("/api/v1/items/")).json() == "items"
        assert (await api.client.get("/api/v1/")).json() == "root"
        assert (await api.client.get("/api/v1", follow_redirects=True)).json() == "root"
        assert (await api.client.get("/api/v1x")).status_code == 404
        assert (await api.client.get("/api")).status_code == 404


async def test_a_proxy_in_front_may_have_cut_a_prefix() -> None:
    async with served(Shop.bind(), route_prefix="/api", settings={"root_path": "/outside"}) as api:
        told = (await api.client.get("/api/where")).json()
        assert (told["path"], told["root"]) == ("/outside/api/where", "/outside/api")
        assert (await api.client.get("/-/healthz")).text == "success"
        assert (await api.client.get("/-/routes")).json() == {"/api": "shop"}


async def test_the_proxy_s_own_paths_tell_when_no_traffic_should_come() -> None:
    async with served(Shop.bind(), route_prefix="/api") as api:
        healthy = await api.client.get("/-/healthz")
        assert (healthy.status_code, healthy.text) == (200, "success")
        assert healthy.headers["content-type"] == "text/plain; charset=utf-8"
        assert (await api.client.get("/-/routes")).json() == {"/api": "shop"}
        assert (await api.client.head("/-/healthz")).status_code == 200
        assert (await api.client.get("/-/other")).status_code == 404
        draining = asyncio.create_task(api.proxy.drain())
        await until(lambda: api.proxy.phase != "serving")
        for path in ("/-/healthz", "/-/routes"):
            answer = await api.client.get(path)
            assert (answer.status_code, "about to exit" in answer.text) == (503, True)
        await api.client.aclose()
        await draining


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("code", [204, 304])
async def test_answers_without_a_body_have_none_whatever_the_application_says(code: int) -> None:
    async with served(Shop.bind()) as api:
        answer = await raw(api.port, get(f"/status/{code}") * 1)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {code} ".encode())
        assert (body, b"content-length" in head, b"transfer-encoding" in head) == (b"", False, False)
        # And the connection goes on.
        for _ in range(2):
            assert (await api.client.get(f"/status/{code}")).status_code == code
        assert (await api.client.get("/cookies")).text == "ok"


@pytest.mark.parametrize("code", [200, 201, 302, 404, 418, 503, 599])
async def test_any_status_passes(code: int) -> None:
    async with served(Shop.bind()) as api:
        answer = await api.client.get(f"/status/{code}")
        assert (answer.status_code, answer.text, answer.headers["x-upper"]) == (code, "a body", "Yes")


async def test_head_has_the_headers_and_no_body() -> None:
    async with served(Shop.bind()) as api:
        answer = await raw(api.port, get("/status/200", method="HEAD"))
        head, _, body = answer.partition(b"\r\n\r\n")
        assert (b"content-length: 6" in head, body) == (True, b"")


async def test_an_informational_status_is_no_answer() -> None:
    async with served(Shop.bind()) as api:
        assert (await api.client.get("/status/100")).status_code == 500
        assert (await api.client.get("/status/200")).status_code == 200


async def test_a_header_may_come_twice() -> None:
    async with served(Shop.bind()) as api:
        answer = await api.client.get("/cookies")
        assert [cookie.split(";")[0] for cookie in answer.headers.get_list("set-cookie")] == ["a=1", "b=2"]


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application that writes its headers as it likes."""
    if scope["type"] != "http":
        return
    match scope["path"]:
        case "/capitals":
            headers = [(b"Content-Type", b"text/plain"), (b"Transfer-Encoding", b"chunked"), (b"Connection", b"close")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"ok"})
        case "/trailers":
            await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
            await send({"type": "http.response.body", "body": b"ok"})
            await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]})
        case "/short":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
            await send({"type": "http.response.body", "body": b"ok"})
        case _:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"ok"})


Bare = serve.deployment(serve.ingress(bare)(type("Bare", (), {})))


async def test_an_application_cannot_frame_the_answer_itself() -> None:
    async with served(Bare.bind()) as api:
        for path in ("/capitals", "/trailers", "/"):
            answers = [await api.client.get(path) for _ in range(3)]
            assert [answer.text for answer in answers] == ["ok"] * 3
            assert "connection" not in answers[0].headers
        with pytest.raises(Exception, match=r"(?i)peer closed|disconnected|content-length"):
            await api.client.get("/short")


# ── request bodies ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_forms_and_files_arrive() -> None:
    async with served(Shop.bind()) as api:
        answer = await api.client.post("/form", data={"name": "n"}, files={"file": ("f.bin", b"x" * 300_000)})
        assert answer.json() == {"name": "n", "file": "f.bin", "size": 300_000}


async def test_a_chunked_body_arrives_as_it_comes() -> None:
    async with served(Shop.bind()) as api:
        gate = asyncio.Event()

        async def parts() -> AsyncIterator[bytes]:
            yield b"x" * 10
            await gate.wait()
            yield b"x" * 200_000

        asking = asyncio.create_task(api.client.post("/size", content=parts()))
        await until(lambda: seen == [10])
        gate.set()
        assert (await asking).json() == 200_010


@pytest.mark.parametrize(
    "bad",
    [
        ["content-length: x"],
        ["content-length: -1"],
        ["content-length: 3", "content-length: 4"],
        ["content-length: 3", "transfer-encoding: chunked"],
        ["transfer-encoding: gzip"],
        ["bad header: 1"],
        ["x: a\0b"],
    ],
    ids=lambda lines: lines[-1].replace("\0", "NUL"),
)
async def test_a_body_of_unclear_length_is_400(bad: list[str]) -> None:
    async with served(Shop.bind()) as api:
        answer = await raw(api.port, get("/size", *bad, method="POST", body=b"123"))
        assert answer.startswith(b"HTTP/1.1 400"), answer
        assert answer.count(b"HTTP/1.1") == 1
        assert (await api.client.get("/")).status_code == 200


async def test_a_bad_chunk_is_no_body_and_harms_nobody() -> None:
    async with served(Shop.bind()) as api:
        answer = await raw(api.port, get("/size", "transfer-encoding: chunked", method="POST", body=b"zz\r\nno\r\n"))
        assert not answer.startswith(b"HTTP/1.1 200")
        await until(lambda: not api.replicas["Shop"].ongoing and not api.proxy.metrics.ongoing)
        assert (await api.client.get("/")).status_code == 200


async def test_a_client_is_asked_to_go_on_with_its_body() -> None:
    async with served(Shop.bind()) as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        writer.write(get("/size", "content-length: 5", "expect: 100-continue", method="POST"))
        assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"12345")
        answer = await asyncio.wait_for(reader.read(), 5)
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b"\r\n\r\n5")
        writer.close()


@pytest.mark.parametrize("how", ["whole", "in pieces", "chunked"])
async def test_an_upgrade_that_nobody_speaks_is_ignored_and_the_body_is_not(how: str) -> None:
    lines = ["connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABkAARAAAAAAAIAAAAA"]
    body = b"3\r\n123\r\n2\r\n45\r\n0\r\n\r\n" if how == "chunked" else b"12345"
    lines.append("transfer-encoding: chunked" if how == "chunked" else "content-length: 5")
    request = "\r\n".join(["POST /size HTTP/1.1", "host: x", *lines, "", ""]).encode() + body
    plain = "\r\n".join(["GET /status/202 HTTP/1.1", "host: x", *lines[:3], "", ""]).encode()
    async with served(Shop.bind()) as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        # Twice, and another behind it: the connection goes on.
        everything = request + request + plain + get("/status/418")
        for part in [everything] if how == "whole" else [everything[i : i + 7] for i in range(0, len(everything), 7)]:
            writer.write(part)
            await asyncio.sleep(0)
        answer = await asyncio.wait_for(reader.read(), 5)
        assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"200", b"200", b"202", b"418"]
        assert answer.count(b"\r\n\r\n5HTTP") == 2
        writer.close()


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with served(Shop.bind()) as api:
        one = b"GET /status/%d HTTP/1.1\r\nhost: x\r\n\r\n"
        answer = await raw(api.port, b"".join(one % code for code in (201, 202, 203)) + get("/status/418"))
        assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"201", b"202", b"203", b"418"]


async def test_an_endless_head_is_431() -> None:
    async with served(Shop.bind()) as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n")
        answer = b""
        for number in range(1000):
            writer.write(b"x-%d: %s\r\n" % (number, b"y" * 1000))
            await asyncio.sleep(0)
            if reader.at_eof() or reader.exception() or writer.is_closing():
                break
        with contextlib.suppress(ConnectionError):  # Bytes that nobody read reset the connection.
            answer = await asyncio.wait_for(reader.read(), 5)
            assert answer.startswith(b"HTTP/1.1 431")
        assert number < 999
        writer.close()
        large = await api.client.get("/", headers={"x-large": "y" * 70_000})
        assert large.status_code == 431
        fits = await api.client.get("/", headers={"x-large": "y" * 60_000})
        assert fits.status_code == 200
