"""Spans of whole requests: proxy, ingress, handle, replica; every hop over a real socket, spans in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
import websockets
from fastapi import FastAPI, WebSocket
from google.protobuf.wrappers_pb2 import StringValue
from starlette.requests import Request
from starlette.responses import StreamingResponse

from remora import serve
from tests.fakes.served import served
from tests.fakes.services import until

pytest.importorskip("opentelemetry.sdk", reason="pip install 'remora[tracing]'")
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import StatusCode

from remora.tracing.tracer import Tracer

TRACE = "0af7651916cd43dd8448eb211c80319c"
CLIENT = "b7ad6b7169203331"
SAMPLED, UNSAMPLED = (f"00-{TRACE}-{CLIENT}-{flag}" for flag in ("01", "00"))


class Spans:
    """What was exported."""

    def __init__(self, ratio: float) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=ParentBasedTraceIdRatio(ratio))
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = Tracer(self.provider)

    @property
    def all(self) -> tuple[ReadableSpan, ...]:
        return tuple(self._exporter.get_finished_spans())

    def named(self, name: str) -> ReadableSpan:
        (found,) = (span for span in self.all if span.name == name)
        return found

    async def until(self, count: int) -> None:
        await until(lambda: len(self.all) >= count)

    @property
    def tree(self) -> list[str]:
        """Each span's name after its parent's, `client` for that of the client."""
        names = {span.context.span_id: span.name for span in self.all} | {int(CLIENT, 16): "client"}
        edges = []
        for span in self.all:
            parent = names[span.parent.span_id] if span.parent else "nothing"
            edges.append(f"{parent} > {span.name}")
        return sorted(edges)


@pytest.fixture
def spans() -> Spans:
    return Spans(1.0)


@serve.deployment
class Leaf:
    def __call__(self, word: str) -> str:
        if word == "bad":
            raise ValueError("no such word")
        # In a thread: the request's span is the current one there, too.
        with trace.get_tracer("mine", tracer_provider=PROVIDERS[-1]).start_as_current_span("of the leaf's own"):
            return word.upper()

    async def each(self, words: list[str]) -> AsyncIterator[str]:
        for word in words:
            yield word


@serve.deployment
class Ingress:
    def __init__(self, leaf: Any) -> None:
        self.leaf = leaf

    async def __call__(self, request: Request) -> Any:
        word = request.query_params.get("word", "")
        if word == "raise":
            raise KeyError("the ingress itself")
        if word == "stream":
            return StreamingResponse(self.stream())
        if word == "context":
            return trace.get_current_span(serve.get_trace_context()).get_span_context().span_id
        return await self.leaf.remote(word)

    async def stream(self) -> AsyncIterator[str]:
        async for item in self.leaf.options(stream=True).each.remote(["a", "b"]):
            yield item


PROVIDERS: list[TracerProvider] = []


@pytest.fixture(autouse=True)
def provider(spans: Spans) -> Iterator[None]:
    PROVIDERS.append(spans.provider)
    yield
    PROVIDERS.pop()


async def test_a_request_is_one_tree_of_spans_below_the_clients(spans: Spans) -> None:
    async with served(Ingress.bind(Leaf.bind()), tracer=spans.tracer, route_prefix="/shop") as shop:
        answer = await shop.client.get("/shop/x?word=hi", headers={"traceparent": SAMPLED, "x-request-id": "r-1"})
        await spans.until(6)
    assert answer.text == "HI"
    proxy, ingress, leaf = "proxy_http_request Ingress GET /x", "Ingress __call__", "Leaf __call__"
    assert spans.tree == sorted(
        [
            f"client > {proxy}",
            f"{proxy} > route_to_replica {ingress}",
            f"route_to_replica {ingress} > replica_handle_request {ingress}",
            f"replica_handle_request {ingress} > route_to_replica {leaf}",
            f"route_to_replica {leaf} > replica_handle_request {leaf}",
            f"replica_handle_request {leaf} > of the leaf's own",
        ]
    )
    assert {format(span.context.trace_id, "032x") for span in spans.all} == {TRACE}
    ours = [span for span in spans.all if span.name != "of the leaf's own"]
    assert {span.attributes["request_id"] for span in ours} == {"r-1"}
    assert {span.status.status_code for span in ours if span.name != proxy} == {StatusCode.UNSET}
    assert spans.named(proxy).status.status_code is StatusCode.OK
    for parent, child in ((proxy, f"route_to_replica {ingress}"), (f"route_to_replica {leaf}", "of the leaf's own")):
        outer, inner = spans.named(parent), spans.named(child)
        assert outer.start_time <= inner.start_time <= inner.end_time <= outer.end_time
    assert dict(spans.named(proxy).attributes) == {
        "request_id": "r-1",
        "deployment": "Ingress",
        "app": "shop",
        "request_type": "http",
        "request_method": "GET",
        "request_route_path": "/x",
        "resource.name": proxy,
        "http.method": "GET",
        "http.route": "/x",
        "http.status_code": 200,
    }
    replica = spans.named(f"replica_handle_request {ingress}").attributes
    assert (replica["app"], replica["route"], replica["http.status_code"]) == ("shop", "/shop", 200)
    called = spans.named(f"route_to_replica {leaf}").attributes
    assert (called["call_method"], called["is_streaming"]) == ("__call__", False)


async def test_what_the_client_did_not_sample_has_no_spans_anywhere(spans: Spans) -> None:
    async with served(Ingress.bind(Leaf.bind()), tracer=spans.tracer) as shop:
        await shop.client.get("/?word=hi", headers={"traceparent": UNSAMPLED})
        await shop.client.get("/?word=hi", headers={"traceparent": SAMPLED})
        await spans.until(6)
    assert len(spans.all) == 6


async def test_the_proxy_decides_for_the_whole_request_where_the_client_did_not() -> None:
    spans = Spans(0.5)
    PROVIDERS.append(spans.provider)
    async with served(Ingress.bind(Leaf.bind()), tracer=spans.tracer) as shop:
        for _ in range(40):
            await shop.client.get("/?word=hi")
        await until(lambda: len(spans.all) % 6 == 0)
    whole = len(spans.all) // 6
    # Never (2⁻⁴⁰ each) none or all of them.
    assert 0 < whole < 40
    assert len({span.context.trace_id for span in spans.all}) == whole
    assert sum(span.parent is None for span in spans.all) == whole


async def test_an_error_is_recorded_where_it_was_raised_and_marks_all_above(spans: Spans) -> None:
    async with served(Ingress.bind(Leaf.bind()), tracer=spans.tracer) as shop:
        assert (await shop.client.get("/?word=bad")).status_code == 500
        await spans.until(5)
    assert {span.status.status_code for span in spans.all} == {StatusCode.ERROR}
    raised = spans.named("replica_handle_request Leaf __call__")
    (event,) = raised.events
    assert (event.name, event.attributes["exception.type"]) == ("exception", "ValueError")
    assert raised.status.description == "no such word"
    assert spans.named("proxy_http_request Ingress GET /").attributes["http.status_code"] == 500
    (passed_on,) = spans.named("replica_handle_request Ingress __call__").events
    assert passed_on.attributes["exception.message"] == "no such word"


async def test_what_the_ingress_raises_is_recorded_although_its_client_gets_an_answer(spans: Spans) -> None:
    async with served(Ingress.bind(Leaf.bind()), tracer=spans.tracer) as shop:
        await shop.client.get("/?word=raise")
        await spans.until(3)
    (event,) = spans.named("replica_handle_request Ingress __call__").events
    assert event.attributes["exception.type"] == "KeyError"


async def test_a_stream_is_within_its_spans_to_the_end(spans: Spans) -> None:
    async with served(Ingress.bind(Leaf.bind()), tracer=spans.tracer) as shop:
        assert (await shop.client.get("/?word=stream")).text == "ab"
        await spans.until(5)
    called, made = spans.named("route_to_replica Leaf each"), spans.named("replica_handle_request Leaf each")
    assert made.parent.span_id == called.context.span_id
    assert called.parent.span_id == spans.named("replica_handle_request Ingress __call__").context.span_id
    assert called.end_time <= spans.named("replica_handle_request Ingress __call__").end_time
    assert called.attributes["is_streaming"] is True


async def test_the_trace_context_is_that_of_the_replicas_span(spans: Spans) -> None:
    async with served(Ingress.bind(Leaf.bind()), tracer=spans.tracer) as shop:
        answer = await shop.client.get("/?word=context")
        await spans.until(3)
    assert int(answer.text) == spans.named("replica_handle_request Ingress __call__").context.span_id


async def test_paths_of_the_proxy_itself_have_no_spans(spans: Spans) -> None:
    async with served(Ingress.bind(Leaf.bind()), tracer=spans.tracer, route_prefix="/shop") as shop:
        for path in ("/-/healthz", "/-/routes", "/elsewhere"):
            await shop.client.get(path)
        await shop.client.get("/shop?word=hi")
        await spans.until(6)
    assert len(spans.all) == 6


async def test_a_client_that_leaves_ends_the_spans(spans: Spans) -> None:
    @serve.deployment
    class Waits:
        async def __call__(self, request: Request) -> None:
            await asyncio.Event().wait()

    async with served(Waits.bind(), tracer=spans.tracer) as shop:
        asking = asyncio.create_task(shop.client.get("/"))
        await until(lambda: bool(shop.replicas["Waits"].ongoing))
        asking.cancel()
        await spans.until(3)
    assert {span.status.status_code for span in spans.all} == {StatusCode.ERROR}
    assert spans.named("proxy_http_request Waits GET /").attributes["http.status_code"] == 499


async def test_a_websocket_has_spans_as_long_as_it_is_open(spans: Spans) -> None:
    app = FastAPI()

    @app.websocket("/talk")
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(await socket.receive_text())
        await socket.close()

    @serve.deployment
    @serve.ingress(app)
    class Talks:
        pass

    async with served(Talks.bind(), tracer=spans.tracer) as shop:
        async with websockets.connect(f"{shop.ws}/talk") as socket:
            await socket.send("hi")
            assert await socket.recv() == "hi"
        await spans.until(3)
    assert spans.tree[0] == "nothing > proxy_websocket_request Talks WS /talk"
    assert not any(span.status.status_code is StatusCode.ERROR for span in spans.all)


def add_WordsServicer_to_server(servicer: Any, server: Any) -> None:
    handler = grpc.unary_unary_rpc_method_handler(
        servicer.Upper, request_deserializer=StringValue.FromString, response_serializer=StringValue.SerializeToString
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Words", {"Upper": handler}),))
    server.add_registered_method_handlers("test.Words", {"Upper": handler})


@serve.deployment
class Words:
    def Upper(self, word: StringValue) -> StringValue:
        if word.value == "bad":
            raise ValueError("no such word")
        return StringValue(value=word.value.upper())


async def test_a_grpc_call_is_a_tree_of_spans(spans: Spans) -> None:
    servicers = (f"{__name__}:add_WordsServicer_to_server",)
    async with (
        served(Words.bind(), tracer=spans.tracer, settings={"grpc_port": 0}, grpc_servicers=servicers) as words,
        grpc.aio.insecure_channel(f"127.0.0.1:{words.proxy.grpc_port}") as channel,
    ):
        upper = channel.unary_unary(
            "/test.Words/Upper",
            request_serializer=StringValue.SerializeToString,
            response_deserializer=StringValue.FromString,
        )
        answer = await upper(StringValue(value="hi"), metadata=(("traceparent", SAMPLED),))
        await spans.until(3)
        good = list(spans.all)
        with pytest.raises(grpc.aio.AioRpcError):
            await upper(StringValue(value="bad"))
        await spans.until(6)
    assert answer.value == "HI"
    replica, route, proxy = good
    assert [span.name for span in good] == [
        "replica_handle_request Words Upper",
        "route_to_replica Words Upper",
        "proxy_grpc_request Words /test.Words/Upper",
    ]
    assert (replica.parent.span_id, route.parent.span_id) == (route.context.span_id, proxy.context.span_id)
    assert format(proxy.parent.span_id, "016x") == CLIENT
    assert proxy.attributes["rpc.grpc.status_code"] == "OK"
    bad = spans.all[3:]
    assert {span.status.status_code for span in bad} == {StatusCode.ERROR}
    assert bad[0].events[0].attributes["exception.message"] == "no such word"


async def test_without_tracing_the_clients_context_passes_as_it_is_and_nothing_is_current() -> None:
    @serve.deployment
    class Tells:
        def __call__(self, request: Request) -> list[Any]:
            return [request.headers["traceparent"], serve.get_trace_context()]

    async with served(Tells.bind()) as shop:
        answer = await shop.client.get("/", headers={"traceparent": SAMPLED})
    assert answer.json() == [SAMPLED, None]
