"""The proxy in front of replicas, over real sockets, by clients without retries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import cycle
from typing import Any, cast

import httpx
import pytest

from remora.transport.frames import MAX_PART_BYTES
from tests.fakes.processes import Process, proxy, run_proxy, run_replica, serving
from tests.fakes.services import CONTROLLER, Steered, replica, snapshot, until

# ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("body", [b"", b"x" * 200_000], ids=["short way", "long way"])
async def test_headers_name_a_model_or_a_session_which_decide_the_replica(body: bytes) -> None:
    async with (
        replica(Steered("a"), name="app#Main#a") as (one, first),
        replica(Steered("b"), name="app#Main#b") as (_, second),
        serving(first, second) as (server, client),
    ):
        one.hold_models(["m"])
        pool = server.router.cluster(CONTROLLER).ingress("app")
        assert pool is not None
        await until(lambda: pool.ready == 2 and any(link.models for link in pool.links))

        async def ask(headers: dict[str, str]) -> set[str]:
            return {(await client.post("/", headers=headers, content=body)).text for _ in range(10)}

        for header in ("serve_multiplexed_model_id", "serve-multiplexed-model-id"):
            assert await ask({header: "m"}) == {"a"}
        found = [await ask({"x-session-id": str(session)}) for session in range(12)]
        assert all(len(places) == 1 for places in found)
        assert set.union(*found) == {"a", "b"}


async def test_the_application_sees_the_request_as_the_client_sent_it() -> None:
    service = Steered("me")
    async with replica(service) as (_, address), serving(address, route_prefix="/api") as (_, client):
        answer = await client.get(
            "/api/a%20b?q=1", headers={"X-Thing": "v", "Connection": "keep-alive", "TE": "trailers"}
        )
    assert answer.text == "me"
    (scope,) = service.scopes
    assert (scope["method"], scope["path"], scope["root_path"]) == ("GET", "/api/a b", "/api")
    assert (scope["raw_path"], scope["query_string"]) == (b"/api/a%20b", b"q=1")
    headers = dict(scope["headers"])
    assert headers[b"x-thing"] == b"v"
    assert headers[b"x-request-id"].decode() == answer.headers["x-request-id"]
    assert not headers.keys() & {b"connection", b"te"}


async def test_a_request_id_of_the_client_is_kept_and_echoed() -> None:
    service = Steered()
    async with replica(service) as (_, address), serving(address) as (_, client):
        answer = await client.get("/", headers={"x-request-id": "mine"})
    assert answer.headers.get_list("x-request-id") == ["mine"]
    assert [v for n, v in service.scopes[0]["headers"] if n == b"x-request-id"] == [b"mine"]


@pytest.mark.parametrize("size", [0, 1, MAX_PART_BYTES, MAX_PART_BYTES + 1, 1_000_000])
async def test_bodies_of_any_size_go_both_ways(size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"e" * (size % 256)
    async with replica(Steered()) as (_, address), serving(address) as (_, client):
        assert (await client.post("/echo", content=body)).content == body

        async def chunked() -> AsyncIterator[bytes]:
            for start in range(0, size, 10_000):
                yield body[start : start + 10_000]

        assert (await client.post("/echo", content=chunked())).content == body
        assert len((await client.get(f"/large?{size}")).content) == size


async def test_the_same_head_again_and_again_has_each_its_own_body_and_id() -> None:
    async with replica(Steered("same")) as (_, address), serving(address) as (_, client):
        seen = []
        for n in range(5):
            body = b"%05d" % n
            echo = await client.post("/echo", content=body, headers={"x-request-id": f"id-{n}"})
            assert (echo.content, echo.headers["x-request-id"]) == (body, f"id-{n}")
            assert (await client.get("/")).text == "same"
            assert (await client.head("/")).headers["content-length"] == "4"
            seen.append([name for name in echo.headers if name != "date"])
        assert all(names == seen[0] for names in seen)


async def test_an_answer_may_come_before_the_body_was_read() -> None:
    async with replica(Steered("early")) as (_, address), serving(address) as (_, client):
        for _ in range(2):
            assert (await client.post("/", content=b"x" * 3_000_000)).text == "early"
        assert (await client.post("/echo", content=b"next")).content == b"next"


async def test_a_status_sent_before_the_body_arrives_before_it() -> None:
    service = Steered()
    async with (
        replica(service) as (_, address),
        serving(address) as (_, client),
        client.stream("GET", "/slow-start") as answer,
    ):
        assert answer.status_code == 200
        service.gate.set()
        assert await answer.aread() == b"late"


async def test_head_has_no_body() -> None:
    async with replica(Steered("four")) as (_, address), serving(address) as (_, client):
        answer = await client.head("/")
        assert (answer.headers["content-length"], answer.content) == ("4", b"")
        assert (await client.get("/")).text == "four"


async def test_a_kept_connection_serves_pipelined_requests_in_order() -> None:
    async with replica(Steered("r")) as (_, address), serving(address) as (proxied, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxied.port)
        writer.write(b"GET /a HTTP/1.1\r\nhost: x\r\n\r\nGET /raise HTTP/1.1\r\nhost: x\r\n\r\n")
        first = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in first
        assert await reader.readexactly(1) == b"r"
        assert b" 500 " in await reader.readuntil(b"\r\n\r\n")
        writer.close()


@pytest.mark.parametrize("upgrade", [b"", b"connection: upgrade\r\nupgrade: h2c\r\n"])
async def test_what_follows_a_long_body_is_the_next_request(upgrade: bytes) -> None:
    body = bytes(range(256)) * 2_000
    async with replica(Steered("r")) as (_, address), serving(address) as (proxied, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxied.port)
        long = b"POST /echo HTTP/1.1\r\nhost: x\r\n%scontent-length: %d\r\n\r\n" % (upgrade, len(body)) + body
        short = b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n"
        wire = long + short + long + long + short
        for at in range(0, len(wire), 99_991):
            writer.write(wire[at : at + 99_991])
        for expected in (body, b"r", body, body, b"r"):
            assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(len(expected)) == expected
        writer.write(b"no http at all\r\n\r\n")
        assert b" 400 " in await reader.readuntil(b"\r\n\r\n")
        writer.close()


# ── when it goes wrong ───────────────────────────────────────────────────────────────────────────────────────────


async def test_no_route_no_replica_and_no_routing_are_told_apart() -> None:
    server = proxy()
    await server.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        assert (await client.get("/")).status_code == 404
    await server.stop()
    async with serving(route_prefix="/api") as (_, client):
        missing = await client.get("/else")
        assert (missing.status_code, missing.headers["content-type"]) == (404, "text/plain; charset=utf-8")
        assert "'/else'" in missing.text
        unready = await client.get("/api")
        assert unready.status_code == 503
        assert unready.headers["retry-after"] == "1"
        assert "'app'" in unready.text


async def test_what_the_application_raises_is_500_without_its_secrets() -> None:
    async with replica(Steered()) as (_, address), serving(address) as (_, client):
        for path in ("/raise", "/nothing", "/headers"):
            answer = await client.get(path)
            assert answer.status_code == 500, path
            assert "secret" not in answer.text
            assert answer.text.startswith("the ")
        assert (await client.get("/")).status_code == 200


async def test_an_answer_that_breaks_off_is_seen_as_incomplete() -> None:
    async with replica(Steered()) as (_, address), serving(address) as (_, client):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/raise-later")


async def test_no_header_smuggles_another_one_in() -> None:
    async with replica(Steered()) as (_, address), serving(address) as (_, client):
        answer = await client.get("/split")
        assert answer.status_code == 500
        assert "set-cookie" not in answer.headers


async def test_a_slow_application_is_408_and_cancelled() -> None:
    service = Steered()
    async with replica(service) as (server, address), serving(address, request_timeout_s=0.1) as (_, client):
        assert (await client.get("/wait")).status_code == 408
        await asyncio.wait_for(service.cancelled.wait(), 2)
        await until(lambda: server.ongoing == 0)


async def test_a_replica_whose_timer_comes_first_is_408_as_well() -> None:
    class Cancelled:
        """As a replica cancels it, just before the proxy would; the request without a deadline is the user's own."""

        async def asgi(self, scope: Any, receive: Any, send: Any) -> None:
            await asyncio.sleep(0.47 if scope["path"] == "/late" else 0)
            raise asyncio.CancelledError

    async with replica(cast(Any, Cancelled())) as (_, address), serving(address, request_timeout_s=0.5) as (_, client):
        answer = await client.get("/late")
        assert (answer.status_code, "no answer within 0.5 s" in answer.text) == (408, True)
        assert (await client.get("/early")).status_code == 500


async def test_a_client_sets_its_own_timeout() -> None:
    async with replica(Steered()) as (_, address), serving(address) as (_, client):
        answer = await client.get("/wait", headers={"x-request-timeout-seconds": "0.1"})
        assert answer.status_code == 408


async def test_a_client_that_goes_cancels_the_user_s_code() -> None:
    service = Steered()
    async with replica(service) as (server, address), serving(address) as (proxied, _):
        _, writer = await asyncio.open_connection("127.0.0.1", proxied.port)
        writer.write(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
        await service.begun.wait()
        writer.close()
        await asyncio.wait_for(service.cancelled.wait(), 2)
        await until(lambda: server.ongoing == 0 and proxied.metrics.ongoing == 0)
        assert 'code="499"' in proxied.metrics.text()


async def test_a_full_queue_is_503_with_retry_after() -> None:
    service = Steered()
    async with replica(service, max_ongoing_requests=1) as (_, address), serving(address) as (proxied, client):
        proxied.router.cluster(CONTROLLER).update(snapshot(2, [address], max_queued_requests=1))
        first = asyncio.create_task(client.get("/wait"))
        await service.begun.wait()
        second = asyncio.create_task(client.get("/"))
        pool = proxied.router.cluster(CONTROLLER).ingress("app")
        await until(lambda: pool is not None and pool.queued == 1)
        refused = await client.get("/")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        service.gate.set()
        assert [(await task).status_code for task in (first, second)] == [200, 200]


GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
LARGE = b"POST /count HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n" + bytes(1_000_000)
ASKED = {
    "whole": [GET],
    "in parts": [GET[:10], GET[10:20], GET[20:]],
    "two at once": [GET + GET],
    "with a body": [LARGE],
    "body in parts": [LARGE[:70_000], LARGE[70_000:70_001], LARGE[70_001:]],
    "chunked": [b"POST /count HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n", b"2\r\nab\r\n0\r\n\r\n"],
}


async def test_who_stands_in_line_to_be_refused_is_told_whatever_it_sends_and_may_ask_again() -> None:
    """A hundred at once, in every shape; some leave before they are told."""
    service = Steered("done")
    async with replica(service, max_ongoing_requests=1) as (_, address), serving(address) as (proxied, client):
        proxied.router.cluster(CONTROLLER).update(snapshot(2, [address], max_queued_requests=0))
        first = asyncio.create_task(client.get("/wait"))
        await service.begun.wait()
        opened = [await asyncio.open_connection("127.0.0.1", proxied.port) for _ in range(100)]
        kept = []
        # Without a pause: when the first ones are read, the others have come as well.
        for number, ((reader, writer), shape) in enumerate(zip(opened, cycle(ASKED), strict=False)):
            writer.write(ASKED[shape][0])
            if number % 5:
                kept.append((reader, writer, shape))
            else:
                writer.close()
        for part in (1, 2):
            for _ in range(3):
                await asyncio.sleep(0)
            for _, writer, shape in kept:
                for more in ASKED[shape][part : part + 1]:
                    writer.write(more)
        for reader, writer, shape in kept:
            for _ in range(2 if shape == "two at once" else 1):
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
                assert head.startswith(b"HTTP/1.1 503"), (shape, head)
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                assert b"are full" in await reader.readexactly(length), shape
            await writer.drain()
        await until(lambda: proxied.metrics.ongoing == 1)
        service.gate.set()
        assert (await first).status_code == 200
        for reader, writer, shape in kept:
            writer.write(GET)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            assert head.startswith(b"HTTP/1.1 200"), (shape, head)
            assert await reader.readexactly(4) == b"done"
            writer.close()
        assert len(service.scopes) == 1 + len(kept)


@pytest.mark.parametrize("bad", [b"\x00\x01\r\n\r\n", b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: x\r\n\r\n"])
async def test_bad_http_is_400_and_no_hang(bad: bytes) -> None:
    async with replica(Steered()) as (_, address), serving(address) as (proxied, client):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxied.port)
        writer.write(bad)
        answer = await asyncio.wait_for(reader.read(), 2)
        assert answer.startswith(b"HTTP/1.1 400")
        writer.close()
        assert (await client.get("/")).status_code == 200


# ── streams and memory ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_slow_reader_stalls_only_itself() -> None:
    service = Steered()
    async with replica(service) as (_, address), serving(address) as (proxied, client):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxied.port, limit=1)
        writer.write(b"GET /large?100000000 HTTP/1.1\r\nhost: x\r\n\r\n")
        await service.begun.wait()
        await reader.read(1)
        for _ in range(50):
            assert (await asyncio.wait_for(client.get("/"), 1)).status_code == 200
        assert service.sent_bytes < 20_000_000, "the replica ran ahead of the reader"
        writer.close()


async def test_large_bodies_pass_with_flat_memory() -> None:
    size = 200 * 1024 * 1024
    with Process(run_replica, "app#Main#1", 0) as main, Process(run_proxy, [main.ready], {}) as front:
        port, _ = front.ready
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            assert (await client.get("/")).status_code == 200
            before = [process.resident_mib for process in (main, front)]
            chunk = b"x" * 1_048_576

            async def body() -> AsyncIterator[bytes]:
                for _ in range(size // len(chunk)):
                    yield chunk

            peaks = before
            async with asyncio.TaskGroup() as group:
                upload = group.create_task(client.post("/count", content=body()))

                async def download() -> int:
                    nonlocal peaks
                    received = 0
                    async with client.stream("GET", f"/large?{size}") as answer:
                        async for part in answer.aiter_raw():
                            received += len(part)
                            if received % 64 == 0:
                                now = [process.resident_mib for process in (main, front)]
                                peaks = [max(pair) for pair in zip(peaks, now, strict=True)]
                    return received

                downloaded = group.create_task(download())
            assert int(upload.result().text) == size
            assert downloaded.result() == size
            growth = [peak - at_first for peak, at_first in zip(peaks, before, strict=True)]
            assert max(growth) < 40, f"replica and proxy grew by {growth} MiB"
