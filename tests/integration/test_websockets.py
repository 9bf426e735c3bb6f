"""WebSockets: a client, the proxy, a replica, and a FastAPI or bare ASGI application; every hop over a real socket."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import fastapi
import pytest
from starlette.responses import PlainTextResponse
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from remora import serve
from remora.local import fixed
from remora.proxy.server import Phase
from remora.transport.frames import MAX_PART_BYTES
from remora.types import Receive, Scope, Send
from tests.fakes.served import served
from tests.fakes.services import until

app = fastapi.FastAPI()
ended: list[Any] = []
"""What the application saw last of each client."""


@app.websocket("/echo/{name}")
async def echo(websocket: fastapi.WebSocket, name: str) -> None:
    offered = websocket.scope["subprotocols"]
    await websocket.accept(offered[-1] if offered else None, headers=[(b"x-app", b"yes")])
    await websocket.send_text(f"hello {name}")
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                ended.append((message["code"], message.get("reason")))
                return
            if message.get("text") is not None:
                if message["text"].startswith("close "):
                    await websocket.close(int(message["text"].split()[1]), "you asked for it")
                    ended.append("closed")
                    return
                if message["text"] == "raise":
                    raise LookupError("secret detail")
                if message["text"] == "return":
                    return
                await websocket.send_text(message["text"].upper())
            else:
                await websocket.send_bytes(message["bytes"][::-1])
    except asyncio.CancelledError:
        ended.append("cancelled")
        raise


@app.websocket("/refuse")
async def refuse(websocket: fastapi.WebSocket) -> None:
    await websocket.close(1008)


@app.websocket("/deny")
async def deny(websocket: fastapi.WebSocket) -> None:
    await websocket.send_denial_response(PlainTextResponse("pay first", 402, {"x-price": "5"}))


@app.websocket("/who")
async def who(websocket: fastapi.WebSocket) -> None:
    await websocket.accept()
    scope = websocket.scope
    context = serve.get_replica_context()
    told = {
        "path": scope["path"],
        "root_path": scope["root_path"],
        "query": dict(websocket.query_params),
        "id": websocket.headers["x-request-id"],
        "deployment": context.deployment,
        "model": serve.get_multiplexed_model_id(),
    }
    await websocket.send_json(told)
    await websocket.close()


@app.websocket("/clock")
async def clock(websocket: fastapi.WebSocket) -> None:
    """Speaks all the time and never listens."""
    await websocket.accept()
    number = 0
    try:
        while True:
            await websocket.send_text(str(number) + " " * 100_000)
            number += 1
    finally:
        ended.append(number)


@app.websocket("/deaf")
async def deaf(websocket: fastapi.WebSocket) -> None:
    await websocket.accept()
    await app.state.gate.wait()
    got = 0
    while got < 40:
        got += len(await websocket.receive_text()) // 500_000
    await websocket.send_text(str(got))


@serve.deployment(max_ongoing_requests=3)
@serve.ingress(app)
class Talk:
    pass


@serve.deployment
class NoSockets:
    def __call__(self) -> str:
        return "plain"


@pytest.fixture(autouse=True)
def _fresh() -> None:
    ended.clear()
    app.state.gate = asyncio.Event()


async def closed(socket: ClientConnection) -> tuple[int, str]:
    """Read to the end, and return how it was closed."""
    try:
        while True:
            await asyncio.wait_for(socket.recv(), 5)
    except ConnectionClosed as end:
        return (end.rcvd.code, end.rcvd.reason) if end.rcvd else (1006, "")


# ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_text_and_bytes_go_both_ways_and_keep_their_kind() -> None:
    async with served(Talk.bind()) as talk, connect(f"{talk.ws}/echo/you") as socket:
        assert await socket.recv() == "hello you"
        await socket.send("grüße")
        assert await socket.recv() == "GRÜSSE"
        await socket.send(b"\0\1\2")
        assert await socket.recv() == b"\2\1\0"
        await socket.send("")
        assert await socket.recv() == ""
        await socket.send(["in ", "three ", "frames"])
        assert await socket.recv() == "IN THREE FRAMES"


@pytest.mark.parametrize("size", [MAX_PART_BYTES - 1, MAX_PART_BYTES, 1_000_000, 5_000_000])
async def test_a_message_of_any_size_arrives_whole(size: int) -> None:
    async with served(Talk.bind()) as talk, connect(f"{talk.ws}/echo/you", max_size=None) as socket:
        await socket.recv()
        body = bytes(index % 251 for index in range(size))
        await socket.send(body)
        assert await socket.recv() == body[::-1]


async def test_messages_keep_their_order() -> None:
    async with served(Talk.bind()) as talk, connect(f"{talk.ws}/echo/you") as socket:
        await socket.recv()
        for number in range(500):
            await socket.send(str(number))
        assert [await socket.recv() for _ in range(500)] == [str(number) for number in range(500)]


async def test_the_application_knows_where_it_is_and_who_asks() -> None:
    headers = {"x-request-id": "mine", "serve-multiplexed-model-id": "m-1"}
    async with (
        served(Talk.bind(), route_prefix="/api") as talk,
        connect(f"{talk.ws}/api/who?a=1", additional_headers=headers) as socket,
    ):
        assert socket.response is not None
        assert socket.response.headers["x-request-id"] == "mine"
        told = json.loads(await socket.recv())
        assert await closed(socket) == (1000, "")
    assert told == {
        "path": "/api/who",
        "root_path": "/api",
        "query": {"a": "1"},
        "id": "mine",
        "deployment": "Talk",
        "model": "m-1",
    }


async def test_subprotocol_and_headers_are_the_application_s_choice() -> None:
    async with (
        served(Talk.bind()) as talk,
        connect(f"{talk.ws}/echo/you", subprotocols=["v1", "v2"]) as socket,  # type: ignore[list-item]
    ):
        assert socket.subprotocol == "v2"
        assert socket.response is not None
        assert socket.response.headers["x-app"] == "yes"


# ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_server_closes_with_its_code_and_reason() -> None:
    async with served(Talk.bind()) as talk, connect(f"{talk.ws}/echo/you") as socket:
        await socket.send("close 4321")
        assert await closed(socket) == (4321, "you asked for it")
        await until(lambda: not talk.replicas["Talk"].ongoing)


async def test_the_client_closes_with_its_code_and_reason() -> None:
    async with served(Talk.bind()) as talk:
        async with connect(f"{talk.ws}/echo/you") as socket:
            await socket.recv()
            await socket.close(4001, "bye")
        await until(lambda: ended)
        assert ended == [(4001, "bye")]
        await until(lambda: not talk.replicas["Talk"].ongoing)


async def test_a_client_that_vanishes_is_a_disconnect_and_cancels_nothing() -> None:
    async with served(Talk.bind()) as talk:
        socket = await connect(f"{talk.ws}/echo/you")
        await socket.recv()
        socket.transport.abort()
        await until(lambda: ended)
        assert ended == [(1005, None)]  # As uvicorn says it.
        await until(lambda: not talk.replicas["Talk"].ongoing)


async def test_an_application_that_only_speaks_hears_of_the_end_when_it_speaks() -> None:
    async with served(Talk.bind()) as talk:
        socket = await connect(f"{talk.ws}/clock", max_size=None)
        await socket.recv()
        socket.transport.abort()
        await until(lambda: ended)
        await until(lambda: not talk.replicas["Talk"].ongoing)


async def test_what_the_application_raises_is_1011_without_its_secrets() -> None:
    async with served(Talk.bind()) as talk, connect(f"{talk.ws}/echo/you") as socket:
        await socket.send("raise")
        assert await closed(socket) == (1011, "")


async def test_an_application_that_returns_has_ended_well() -> None:
    async with served(Talk.bind()) as talk, connect(f"{talk.ws}/echo/you") as socket:
        await socket.send("return")
        assert await closed(socket) == (1000, "")


async def test_a_replica_that_vanishes_is_1012() -> None:
    async with served(Talk.bind()) as talk, connect(f"{talk.ws}/echo/you") as socket:
        await socket.recv()
        for connection in list(talk.replicas["Talk"].connections):
            connection.abort()
        assert await closed(socket) == (1012, "")


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def refusal(url: str) -> Any:
    with pytest.raises(InvalidStatus) as refused:
        await connect(url)
    return refused.value.response


async def test_a_refusal_before_accept_is_an_http_answer() -> None:
    async with served(Talk.bind(), route_prefix="/api") as talk:
        answer = await refusal(f"{talk.ws}/api/refuse")
        assert (answer.status_code, answer.body) == (403, b"")
        assert answer.headers["x-request-id"]
        answer = await refusal(f"{talk.ws}/api/deny")
        assert (answer.status_code, answer.body, answer.headers["x-price"]) == (402, b"pay first", "5")
        answer = await refusal(f"{talk.ws}/api/nothing-here")
        assert answer.status_code == 403
        answer = await refusal(f"{talk.ws}/elsewhere")
        assert (answer.status_code, b"/elsewhere" in answer.body) == (404, True)


async def test_a_deployment_without_sockets_refuses_them() -> None:
    async with served(NoSockets.bind()) as plain:
        assert (await refusal(f"{plain.ws}/")).status_code == 403


async def test_a_full_queue_refuses_with_503() -> None:
    async with served(Talk.options(max_ongoing_requests=1, max_queued_requests=0).bind()) as talk:
        snapshot = talk.proxy.router.cluster(fixed.CONTROLLER).ingress("shop")
        assert snapshot is not None
        async with connect(f"{talk.ws}/echo/you") as socket:
            await socket.recv()
            answer = await refusal(f"{talk.ws}/echo/me")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        await until(lambda: not talk.replicas["Talk"].ongoing)
        async with connect(f"{talk.ws}/echo/me") as socket:
            assert await socket.recv() == "hello me"


async def test_header_lines_cannot_be_smuggled_into_the_handshake() -> None:
    async def splitting(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept", "headers": [(b"x-a", b"1\r\nset-cookie: stolen=1")]})

    bound = serve.deployment(serve.ingress(splitting)(type("Splitting", (), {}))).bind()
    async with served(bound) as talk:
        answer = await refusal(f"{talk.ws}/")
        assert answer.status_code == 500
        assert "set-cookie" not in answer.headers


async def test_sockets_count_as_ongoing_at_proxy_and_replica() -> None:
    async with served(Talk.bind()) as talk:
        async with connect(f"{talk.ws}/echo/you") as socket:
            await socket.recv()
            assert (talk.proxy.metrics.ongoing, talk.replicas["Talk"].ongoing) == (1, 1)
        await until(lambda: not talk.proxy.metrics.ongoing and not talk.replicas["Talk"].ongoing)
        assert 'code="1000"' in talk.proxy.metrics.text()


# ── limits and back-pressure ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_message_beyond_the_limit_is_1009() -> None:
    async with (
        served(Talk.bind(), settings={"max_message_bytes": 100_000}) as talk,
        connect(f"{talk.ws}/echo/you", compression=None) as socket,
    ):
        await socket.recv()
        await socket.send("x" * 100_001)
        assert (await closed(socket))[0] == 1009
        await until(lambda: ended)
        assert ended[0][0] == 1009


async def test_compression_cannot_unpack_beyond_the_limit() -> None:
    async with (
        served(Talk.bind(), settings={"max_message_bytes": 100_000}) as talk,
        connect(f"{talk.ws}/echo/you", compression="deflate") as socket,
    ):
        await socket.recv()
        await socket.send("x" * 10_000_000)
        assert (await closed(socket))[0] == 1009


async def test_a_client_that_reads_slowly_stalls_the_application_and_nobody_else() -> None:
    async with served(Talk.bind()) as talk:
        slow = await connect(f"{talk.ws}/clock", compression=None, max_queue=1)
        async with connect(f"{talk.ws}/echo/you") as quick:
            await quick.recv()
            # The speaker would have sent gigabytes by then.
            for number in range(300):
                await quick.send(str(number))
                assert await quick.recv() == str(number)
        slow.transport.abort()
        await until(lambda: len(ended) > 1)
        spoken = next(number for number in ended if isinstance(number, int))
        assert spoken < 200  # × 100 kB: windows, and both kernels' buffers


async def test_an_application_that_reads_slowly_stalls_its_client_and_nobody_else() -> None:
    async with served(Talk.bind()) as talk, connect(f"{talk.ws}/deaf", compression=None) as deaf:

        async def speak() -> None:
            for _ in range(40):
                await deaf.send("x" * 500_000)

        speaking = asyncio.create_task(speak())
        async with connect(f"{talk.ws}/echo/you") as quick:
            await quick.recv()
            for number in range(300):
                await quick.send(str(number))
                assert await quick.recv() == str(number)
        assert not speaking.done()
        app.state.gate.set()
        assert await deaf.recv() == "40"
        await speaking


# ── draining ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_draining_replica_closes_what_is_quiet_and_lets_others_finish() -> None:
    async with served(Talk.bind()) as talk:
        async with connect(f"{talk.ws}/echo/you") as quiet, connect(f"{talk.ws}/deaf") as busy:
            await quiet.recv()
            draining = asyncio.create_task(talk.replicas["Talk"].drain(10))
            assert await closed(quiet) == (1012, "the replica is going away")
            await until(lambda: ended)
            assert ended == [(1012, "the replica is going away")]
            assert not draining.done()
            app.state.gate.set()
            for _ in range(40):
                await busy.send("x" * 500_000)
            assert await busy.recv() == "40"
        assert await draining


async def test_a_replica_that_stops_closes_with_1012() -> None:
    async with served(Talk.bind()) as talk, connect(f"{talk.ws}/deaf") as busy:
        assert not await talk.replicas["Talk"].drain(0.05)
        await talk.replicas["Talk"].stop()
        assert await closed(busy) == (1012, "")


async def test_a_draining_proxy_closes_what_is_quiet() -> None:
    async with served(Talk.bind()) as talk, connect(f"{talk.ws}/echo/you") as socket:
        await socket.recv()
        draining = asyncio.create_task(talk.proxy.drain())
        assert await closed(socket) == (1012, "")
        await until(lambda: ended)
        assert ended == [(1012, None)]
        await draining
        assert talk.proxy.phase is Phase.CLOSING


async def test_a_proxy_that_stops_closes_all_with_1012() -> None:
    async with served(Talk.bind()) as talk, connect(f"{talk.ws}/deaf") as busy:
        await talk.proxy.stop()
        assert await closed(busy) == (1012, "")
