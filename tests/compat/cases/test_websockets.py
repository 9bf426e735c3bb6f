"""WebSockets of a FastAPI ingress."""

import json
import time

import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from ray import serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

app = FastAPI()


@serve.deployment
class Upper:
    def __call__(self, text):
        return text.upper()

    def tokens(self, n):
        yield from range(n)


@serve.deployment(max_ongoing_requests=20)
@serve.ingress(app)
class Sockets:
    def __init__(self, upper):
        self.upper = upper
        self.left = 0

    @app.websocket("/echo")
    async def echo(self, socket: WebSocket):
        await socket.accept()
        try:
            while True:
                message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    break
                if message.get("text") is not None:
                    await socket.send_text(message["text"])
                else:
                    await socket.send_bytes(message["bytes"])
        finally:
            self.left += 1

    @app.websocket("/upper")
    async def upper_of(self, socket: WebSocket):
        await socket.accept()
        await socket.send_text(await self.upper.remote(await socket.receive_text()))
        await socket.close(code=4001, reason="done")

    @app.websocket("/tokens")
    async def tokens(self, socket: WebSocket):
        await socket.accept()
        async for token in self.upper.options(stream=True).tokens.remote(3):
            await socket.send_json({"token": token})
        await socket.close()

    @app.websocket("/room/{name}")
    async def room(self, socket: WebSocket, name: str, seat: int = 0):
        await socket.accept(subprotocol="chat", headers=[(b"x-room", name.encode())])
        await socket.send_json({"name": name, "seat": seat, "header": socket.headers.get("x-mine")})
        try:
            await socket.receive_text()
        except WebSocketDisconnect:
            pass

    @app.websocket("/refused")
    async def refused(self, socket: WebSocket):
        await socket.close()

    @app.websocket("/fails")
    async def fails(self, socket: WebSocket):
        await socket.accept()
        raise ValueError("a secret of the house")

    @app.get("/left")
    def how_many_left(self):
        return self.left


@pytest.fixture(scope="module")
def sockets(share):
    return share(Sockets.bind(Upper.bind()), "ws")


@pytest.fixture
def url(sockets, instance):
    return f"ws://{instance}/ws"


def test_text_goes_both_ways(url):
    with connect(url + "/echo") as socket:
        for text in ("one", "zwei", "größer"):
            socket.send(text)
            assert socket.recv(timeout=10) == text


def test_bytes_go_both_ways(url):
    with connect(url + "/echo") as socket:
        socket.send(b"\x00\x01")
        assert socket.recv(timeout=10) == b"\x00\x01"


def test_a_message_of_a_megabyte(url):
    with connect(url + "/echo", max_size=None) as socket:
        socket.send("x" * 1_000_000)
        assert len(socket.recv(timeout=20)) == 1_000_000


def test_many_messages_keep_their_order(url):
    with connect(url + "/echo") as socket:
        for i in range(200):
            socket.send(str(i))
        assert [socket.recv(timeout=10) for _ in range(200)] == [str(i) for i in range(200)]


def test_a_handler_calls_other_deployments_and_closes_with_a_code(url):
    with connect(url + "/upper") as socket:
        socket.send("moin")
        assert socket.recv(timeout=10) == "MOIN"
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=10)
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "done")


def test_a_stream_of_another_deployment(url):
    with connect(url + "/tokens") as socket:
        assert [json.loads(message)["token"] for message in socket] == [0, 1, 2]


def test_path_query_headers_and_subprotocol(url):
    headers = {"x-mine": "yes"}
    with connect(url + "/room/red?seat=4", subprotocols=["chat"], additional_headers=headers) as socket:
        assert json.loads(socket.recv(timeout=10)) == {"name": "red", "seat": 4, "header": "yes"}
        assert socket.subprotocol == "chat"


def test_several_sockets_at_once(url):
    with connect(url + "/echo") as one, connect(url + "/echo") as two:
        one.send("1")
        two.send("2")
        assert (two.recv(timeout=10), one.recv(timeout=10)) == ("2", "1")


def test_a_refused_socket_is_not_opened(url):
    with pytest.raises(InvalidStatus) as refused:
        connect(url + "/refused").close()
    assert refused.value.response.status_code == 403


def test_an_unknown_path_is_not_opened(url):
    with pytest.raises(InvalidStatus):
        connect(url + "/nowhere").close()


def test_a_handler_that_raises_closes_the_socket(url, http):
    with connect(url + "/fails") as socket, pytest.raises(ConnectionClosed):
        socket.recv(timeout=10)
    assert http.get("/ws/left").status_code == 200


def test_a_client_that_leaves_is_noticed(url, http):
    before = http.get("/ws/left").json()
    with connect(url + "/echo") as socket:
        socket.send("bye")
        socket.recv(timeout=10)
    end = time.monotonic() + 15
    while http.get("/ws/left").json() <= before:
        assert time.monotonic() < end
        time.sleep(0.05)
