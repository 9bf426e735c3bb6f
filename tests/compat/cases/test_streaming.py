"""Answers that come in pieces, and clients that leave."""

import asyncio
import json
import socket
import time

import httpx
import pytest
from fastapi import FastAPI
from ray import serve
from starlette.requests import Request
from starlette.responses import StreamingResponse

api = FastAPI()


@serve.deployment(max_ongoing_requests=20)
class Streams:
    def __init__(self):
        self.cancelled = 0
        self.closed = 0
        self.sent = 0

    async def __call__(self, request: Request):
        kind = request.url.path.rpartition("/")[2]
        if kind == "wait":
            return await self.wait()
        return StreamingResponse(getattr(self, kind)(), media_type="text/plain")

    def plain(self):
        for i in range(5):
            yield f"{i},"

    async def slow(self):
        for i in range(4):
            yield f"{i},".encode()
            await asyncio.sleep(0.3)

    async def fails(self):
        yield "before"
        raise ValueError("in the middle")

    async def endless(self):
        try:
            while True:
                self.sent += 1
                yield "x" * 10_000
                await asyncio.sleep(0.01)
        finally:
            self.closed += 1

    async def big(self):
        for _ in range(100):
            yield b"y" * 100_000

    async def wait(self):
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    def counts(self):
        return self.cancelled, self.closed


@serve.deployment
@serve.ingress(api)
class Events:
    @api.get("/events")
    def events(self):
        def produce():
            for i in range(3):
                yield f"id: {i}\ndata: {json.dumps({'n': i})}\n\n"

        return StreamingResponse(produce(), media_type="text/event-stream", headers={"cache-control": "no-cache"})


@serve.deployment
class Tokens:
    async def generate(self, n):
        for i in range(n):
            yield f"t{i} "


@serve.deployment
class Relay:
    def __init__(self, tokens):
        self.tokens = tokens.options(stream=True)

    async def __call__(self, request: Request):
        async def body():
            async for token in self.tokens.generate.remote(4):
                yield token.upper()

        return StreamingResponse(body(), media_type="text/plain")


@pytest.fixture(scope="module")
def streams(share):
    return share(Streams.bind(), "streams")


def until(holds, timeout_s=15):
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def test_a_plain_generator_in_a_streaming_response(streams, http):
    answer = http.get("/streams/plain")
    assert (answer.text, answer.headers["content-type"]) == ("0,1,2,3,4,", "text/plain; charset=utf-8")


def test_pieces_arrive_when_they_are_made(streams, http):
    with http.stream("GET", "/streams/slow") as answer:
        times = [(time.monotonic(), piece) for piece in answer.iter_raw()]
    assert b"".join(piece for _, piece in times) == b"0,1,2,3,"
    assert times[-1][0] - times[0][0] > 0.5


def test_headers_arrive_before_the_body_ends(streams, http):
    began = time.monotonic()
    with http.stream("GET", "/streams/endless") as answer:
        assert answer.status_code == 200
        assert time.monotonic() - began < 5


def test_a_big_body_arrives_whole(streams, http):
    assert len(http.get("/streams/big").content) == 10_000_000


def test_a_stream_that_fails_breaks_off(streams, http):
    with pytest.raises(httpx.RemoteProtocolError), http.stream("GET", "/streams/fails") as answer:
        answer.read()
    assert http.get("/streams/plain").status_code == 200


def test_a_client_that_leaves_a_stream_ends_the_generator(streams, http):
    _, closed = streams.counts.remote().result()
    with http.stream("GET", "/streams/endless") as answer:
        next(answer.iter_raw())
    until(lambda: streams.counts.remote().result()[1] > closed)


def test_a_client_that_leaves_while_waiting_cancels_the_handler(streams, http):
    cancelled, _ = streams.counts.remote().result()
    with pytest.raises(httpx.ReadTimeout):
        http.get("/streams/wait", timeout=0.7)
    until(lambda: streams.counts.remote().result()[0] > cancelled)


def test_each_item_is_a_chunk(run, http):
    @serve.deployment
    class Counts:
        def __call__(self, request):
            return StreamingResponse((f"item {number}\n" for number in range(40)), media_type="text/plain")

    run(Counts.bind())
    with http.stream("GET", "/") as answer:
        assert list(answer.iter_raw()) == [f"item {number}\n".encode() for number in range(40)]


def test_a_client_that_vanishes_in_its_body_harms_nobody(streams, http, instance):
    host, _, port = instance.partition(":")
    raw = socket.create_connection((host, int(port)), timeout=10)
    raw.sendall(b"POST /streams/plain HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\nabc")
    raw.close()
    assert http.get("/streams/plain").status_code == 200


def test_server_sent_events(run, http):
    run(Events.bind())
    answer = http.get("/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-cache"
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line.startswith("data")]
    assert events == [{"n": 0}, {"n": 1}, {"n": 2}]


def test_a_stream_of_another_deployment_is_relayed(run, http):
    run(Relay.bind(Tokens.bind()))
    assert http.get("/").text == "T0 T1 T2 T3 "
