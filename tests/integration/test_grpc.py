"""gRPC ingress: grpcio's client, the proxy's port, a replica with the user's servicer; every hop over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.wrappers_pb2 import StringValue
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from remora import serve
from remora.errors import BackPressureError
from remora.grpc_util import RayServegRPCContext, gRPCInputStream
from remora.handle import DeploymentHandle, context
from remora.local import fixed
from remora.transport.frames import MAX_PART_BYTES
from tests.fakes.certificates import pair
from tests.fakes.served import Served, served
from tests.fakes.services import until

SERVICE = "test.Words"
seen: list[Any] = []


def add_WordsServicer_to_server(servicer: Any, server: Any) -> None:
    """What grpcio-tools generates for a service of four methods."""
    kinds = {
        "Upper": grpc.unary_unary_rpc_method_handler,
        "Split": grpc.unary_stream_rpc_method_handler,
        "Join": grpc.stream_unary_rpc_method_handler,
        "Echo": grpc.stream_stream_rpc_method_handler,
        "Missing": grpc.unary_unary_rpc_method_handler,
    }
    handlers = {
        name: kind(
            getattr(servicer, name),
            request_deserializer=StringValue.FromString,
            response_serializer=StringValue.SerializeToString,
        )
        for name, kind in kinds.items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    server.add_registered_method_handlers(SERVICE, handlers)


@serve.deployment
class Child:
    async def __call__(self, word: str) -> str:
        if word == "wait":
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append("child cancelled")
                raise
        return word.upper()


@serve.deployment(max_ongoing_requests=3)
class Words:
    def __init__(self, child: DeploymentHandle) -> None:
        self.child = child

    async def Upper(self, word: StringValue, grpc_context: RayServegRPCContext) -> StringValue:
        match word.value:
            case "code":
                grpc_context.set_code(grpc.StatusCode.ALREADY_EXISTS)
                grpc_context.set_details("it is there")
                grpc_context.set_trailing_metadata([("x-key", "v"), ("x-bin", b"\0\1")])
            case "raise with a code":
                grpc_context.set_code(grpc.StatusCode.FAILED_PRECONDITION)
                raise LookupError("not yet")
            case "raise":
                raise LookupError("no such word")
            case "full":
                raise BackPressureError(1, 1)
            case "wrong":
                return "a str"
            case "who":
                current = context.current()
                told = [
                    current.request_id, serve.get_multiplexed_model_id(), current.session_id,
                    current.headers.get("traceparent"), grpc_context.application(), str(grpc_context.request_id()),
                ]  # fmt: skip
                return StringValue(value="|".join(map(str, told)))
            case _:
                pass
        return StringValue(value=await self.child.remote(word.value))

    def Split(self, word: StringValue) -> Any:
        for part in word.value.split():
            yield StringValue(value=part)
        if word.value == "a b fail":
            raise LookupError("after some")

    async def Join(self, words: gRPCInputStream[StringValue]) -> StringValue:
        return StringValue(value=" ".join([word.value async for word in words]))

    async def Echo(self, words: gRPCInputStream[StringValue]) -> AsyncIterator[StringValue]:
        try:
            async for word in words:
                yield StringValue(value=word.value[::-1])
        except asyncio.CancelledError:
            seen.append("echo cancelled")
            raise
        finally:
            seen.append("echo ended")


@asynccontextmanager
async def words(**routing: Any) -> AsyncIterator[tuple[Served, Any]]:
    """Serve the deployment; yield it and a stub as generated code would make it."""
    seen.clear()
    functions = (f"{__name__}.add_WordsServicer_to_server",)
    async with served(Words.bind(Child.bind()), settings={"grpc_port": 0}, grpc_servicers=functions, **routing) as app:
        assert app.proxy.grpc_port
        async with grpc.aio.insecure_channel(f"127.0.0.1:{app.proxy.grpc_port}") as channel:
            yield app, stub(channel)


def stub(channel: Any) -> Any:
    coded = {"request_serializer": StringValue.SerializeToString, "response_deserializer": StringValue.FromString}
    return SimpleNamespace(
        Upper=channel.unary_unary(f"/{SERVICE}/Upper", **coded),
        Missing=channel.unary_unary(f"/{SERVICE}/Missing", **coded),
        Unknown=channel.unary_unary("/test.Other/Unknown", **coded),
        Split=channel.unary_stream(f"/{SERVICE}/Split", **coded),
        Join=channel.stream_unary(f"/{SERVICE}/Join", **coded),
        Echo=channel.stream_stream(f"/{SERVICE}/Echo", **coded),
        Raw=lambda path: channel.unary_unary(path),
    )


def say(*values: str) -> list[StringValue]:
    return [StringValue(value=value) for value in values]


async def failure(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value.code(), raised.value.details() or ""


async def test_tls_and_a_new_certificate(tmp_path: Path) -> None:
    old, new = pair(tmp_path, "old"), pair(tmp_path, "new")
    trusted = [grpc.ssl_channel_credentials(it.certificate.read_bytes()) for it in (old, new)]
    settings = {"grpc_port": 0, "grpc_tls": True, "tls_certificate": old.certificate, "tls_key": old.key}
    functions = (f"{__name__}.add_WordsServicer_to_server",)
    async with served(Words.bind(Child.bind()), settings=settings, grpc_servicers=functions) as app:
        target = f"localhost:{app.proxy.grpc_port}"
        async with grpc.aio.secure_channel(target, trusted[0]) as channel:
            assert (await stub(channel).Upper(StringValue(value="a"))).value == "A"
        new.certificate.replace(old.certificate)
        new.key.replace(old.key)
        assert app.proxy._certificate is not None
        assert app.proxy._certificate.look()
        async with grpc.aio.secure_channel(target, trusted[1]) as channel:
            assert (await stub(channel).Upper(StringValue(value="b"))).value == "B"


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_a_client_without_generated_code_asks_what_there_is(version: str) -> None:
    wrappers = "google/protobuf/wrappers.proto"
    async with words() as (app, _), grpc.aio.insecure_channel(f"127.0.0.1:{app.proxy.grpc_port}") as channel:
        ask = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=ServerReflectionRequest.SerializeToString,
            response_deserializer=ServerReflectionResponse.FromString,
        )()
        # One after the other on one stream, as clients do: the second depends on the first's answer.
        await ask.write(ServerReflectionRequest(list_services=""))
        listed = [it.name for it in (await ask.read()).list_services_response.service]
        assert listed == ["grpc.reflection.v1alpha.ServerReflection", SERVICE]
        await ask.write(ServerReflectionRequest(file_containing_symbol="google.protobuf.StringValue"))
        (file,) = (await ask.read()).file_descriptor_response.file_descriptor_proto
        assert FileDescriptorProto.FromString(file).name == wrappers
        await ask.write(ServerReflectionRequest(file_by_filename="no/such.proto"))
        assert (await ask.read()).error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
        await ask.done_writing()
        assert await ask.read() is grpc.aio.EOF
        assert await ask.code() is grpc.StatusCode.OK


async def test_reflection_can_be_turned_off() -> None:
    async with words(grpc_reflection=False) as (_, stub):
        path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
        assert await failure(stub.Raw(path)(b"")) == (
            grpc.StatusCode.UNIMPLEMENTED,
            "reflection is off in application 'shop'",
        )


async def test_the_four_kinds_of_calls() -> None:
    async with words() as (_, stub):
        assert (await stub.Upper(*say("hello"))).value == "HELLO"
        assert [part.value async for part in stub.Split(*say("a b c"))] == ["a", "b", "c"]
        assert (await stub.Join(iter(say("a", "b", "c")))).value == "a b c"
        assert (await stub.Join(iter(()))).value == ""
        assert [word.value async for word in stub.Echo(iter(say("ab", "cd")))] == ["ba", "dc"]


async def test_messages_go_back_and_forth_one_at_a_time() -> None:
    async with words() as (_, stub):
        call = stub.Echo()
        for number in range(20):
            await call.write(StringValue(value=f"{number:03}"))
            assert (await call.read()).value == f"{number:03}"[::-1]
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK
    assert seen == ["echo ended"]


@pytest.mark.parametrize("size", [0, MAX_PART_BYTES - 1, MAX_PART_BYTES, 3_000_000])
async def test_a_message_of_any_size_arrives_whole(size: int) -> None:
    async with words() as (_, stub):
        assert (await stub.Upper(*say("x" * size))).value == "X" * size


async def test_metadata_reaches_the_replica_and_an_id_comes_back() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    sent = (
        ("application", "shop"), ("request_id", "mine"), ("multiplexed_model_id", "m-1"), ("session_id", "s"),
        ("traceparent", trace),
    )  # fmt: skip
    async with words() as (_, stub):
        call = stub.Upper(*say("who"), metadata=sent)
        assert (await call).value == f"mine|m-1|s|{trace}|shop|mine"
        assert dict(await call.trailing_metadata())["request_id"] == "mine"
        call = stub.Upper(*say("who"))
        made = dict(await call.trailing_metadata())["request_id"]
        assert (await call).value.startswith(f"{made}|")


async def test_code_details_and_trailing_metadata_are_the_application_s() -> None:
    async with words() as (_, stub):
        call = stub.Upper(*say("code"))
        assert await failure(call) == (grpc.StatusCode.ALREADY_EXISTS, "it is there")
        trailing = dict(await call.trailing_metadata())
        assert (trailing["x-key"], trailing["x-bin"]) == ("v", b"\0\1")
        assert await failure(stub.Upper(*say("raise with a code"))) == (grpc.StatusCode.FAILED_PRECONDITION, "not yet")


async def test_what_goes_wrong_has_its_status() -> None:
    async with words() as (_, stub):
        assert await failure(stub.Upper(*say("raise"))) == (grpc.StatusCode.INTERNAL, "LookupError: no such word")
        assert (await failure(stub.Upper(*say("full"))))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (await failure(stub.Upper(*say("wrong"))))[0] is grpc.StatusCode.INTERNAL
        code, details = await failure(stub.Missing(*say("x")))
        assert (code, "'Missing'" in details) == (grpc.StatusCode.UNIMPLEMENTED, True)
        code, details = await failure(stub.Unknown(*say("x")))
        assert (code, "/test.Other/Unknown" in details) == (grpc.StatusCode.UNIMPLEMENTED, True)
        call = stub.Split(*say("a b fail"))
        assert [(await call.read()).value for _ in range(3)] == ["a", "b", "fail"]
        code, details = await failure(call.read())
        assert (code, "after some" in details) == (grpc.StatusCode.INTERNAL, True)
        assert (await stub.Upper(*say("ok"))).value == "OK"


async def test_a_full_queue_is_resource_exhausted() -> None:
    async with words() as (app, stub):
        pool = app.proxy.router.cluster(fixed.CONTROLLER).ingress("shop")
        assert pool is not None
        pool._max_queued = 0
        calls = [stub.Echo() for _ in range(3)]
        for call in calls:
            await call.write(StringValue(value="ab"))
            assert (await call.read()).value == "ba"
        assert (await failure(stub.Upper(*say("x"))))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
        for call in calls:
            await call.done_writing()
            assert await call.code() is grpc.StatusCode.OK
        assert (await stub.Upper(*say("x"))).value == "X"


@pytest.mark.parametrize("whose", ["client", "application"])
async def test_a_deadline_cancels_all_that_was_called(whose: str) -> None:
    async with words(**{"grpc_timeout_s": 0.3} if whose == "application" else {}) as (app, stub):
        call = stub.Upper(*say("wait"), timeout=0.3 if whose == "client" else 10)
        assert (await failure(call))[0] is grpc.StatusCode.DEADLINE_EXCEEDED
        await until(lambda: seen == ["child cancelled"])
        await until(lambda: not app.replicas["Words"].ongoing and not app.proxy.metrics.ongoing)


async def test_a_client_that_cancels_cancels_all_that_was_called() -> None:
    async with words() as (app, stub):
        call = stub.Upper(*say("wait"))
        await until(lambda: app.replicas["Child"].ongoing)
        call.cancel()
        await until(lambda: seen == ["child cancelled"])
        await until(lambda: not app.replicas["Words"].ongoing and not app.proxy.metrics.ongoing)
        assert 'code="CANCELLED"' in app.proxy.metrics.text()


async def test_a_lost_replica_is_unavailable() -> None:
    async with words() as (app, stub):
        call = stub.Echo()
        await call.write(StringValue(value="ab"))
        assert (await call.read()).value == "ba"
        for connection in list(app.replicas["Words"].connections):
            connection.abort()
        assert await call.code() is grpc.StatusCode.UNAVAILABLE


async def test_applications_are_listed_and_an_unknown_one_is_not_found() -> None:
    async with words() as (app, stub):
        listed = await stub.Raw("/ray.serve.RayServeAPIService/ListApplications")(b"")
        assert listed == b"\x0a\x04shop"
        assert await stub.Raw("/ray.serve.RayServeAPIService/Healthz")(b"") == b"\x0a\x07success"
        assert await stub.Raw("/grpc.health.v1.Health/Check")(b"") == b"\x08\x01"
        # The only one takes calls that name another, as in Ray Serve.
        assert (await stub.Upper(*say("x"), metadata=(("application", "other"),))).value == "X"
        app.proxy.routing.table.applications = ()
        code, details = await failure(stub.Upper(*say("x"), metadata=(("application", "other"),)))
        assert (code, "'other'" in details) == (grpc.StatusCode.NOT_FOUND, True)


async def test_calls_under_way_are_finished_before_the_proxy_leaves() -> None:
    async with words() as (app, stub):
        call = stub.Echo()
        await call.write(StringValue(value="ab"))
        assert (await call.read()).value == "ba"
        draining = asyncio.create_task(app.proxy.drain())
        await until(lambda: app.proxy.phase == "closing")
        await call.write(StringValue(value="cd"))
        assert (await call.read()).value == "dc"
        assert not draining.done()
        await call.done_writing()
        assert await call.code() is grpc.StatusCode.OK
        await app.client.aclose()
        await draining


async def test_a_slow_reader_slows_the_generator() -> None:
    async with words() as (app, stub):
        call = stub.Split(*say("word " * 500_000))
        assert (await call.read()).value == "word"
        for _ in range(20):
            assert (await stub.Upper(*say("x"))).value == "X"
        call.cancel()
        await until(lambda: not app.replicas["Words"].ongoing)
