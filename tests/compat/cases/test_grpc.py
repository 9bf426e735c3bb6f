"""gRPC ingress: a user's own service, answered by methods of the deployment."""

import asyncio

import grpc
import pytest
from google.protobuf.wrappers_pb2 import Int32Value, StringValue
from greeter_grpc import GreeterStub
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub
from ray import serve


@serve.deployment
class Upper:
    def __call__(self, text):
        return text.upper()


@serve.deployment(max_ongoing_requests=20)
class Greeter:
    def __init__(self, upper):
        self.upper = upper

    async def Hello(self, request):
        return StringValue(value="moin " + await self.upper.remote(request.value))

    async def Count(self, request):
        for i in range(request.value):
            yield Int32Value(value=i)

    async def Sum(self, requests):
        return Int32Value(value=sum([request.value async for request in requests]))

    async def Echo(self, requests):
        async for request in requests:
            yield StringValue(value=request.value * 2)

    def Fail(self, request, grpc_context):
        if request.value == "code":
            grpc_context.set_code(grpc.StatusCode.FAILED_PRECONDITION)
            grpc_context.set_details("not today")
            raise ValueError("not today")
        raise ValueError("a fault")

    def Meta(self, request, grpc_context):
        given = dict(grpc_context.invocation_metadata())
        grpc_context.set_trailing_metadata([("x-back", given.get("x-mine", "-"))])
        return StringValue(value=serve.get_multiplexed_model_id())

    async def Slow(self, request):
        await asyncio.sleep(request.value)
        return StringValue(value="slept")


@pytest.fixture(scope="module")
def greeter(share):
    return share(Greeter.bind(Upper.bind()), "greeter")


@pytest.fixture
def channel(greeter, grpc_address):
    with grpc.insecure_channel(grpc_address) as made:
        yield made


@pytest.fixture
def stub(channel):
    return GreeterStub(channel)


APP = (("application", "greeter"),)


def test_a_unary_call(stub):
    assert stub.Hello(StringValue(value="ada"), metadata=APP, timeout=20).value == "moin ADA"


def test_the_only_application_needs_no_name(stub):
    assert stub.Hello(StringValue(value="bob"), timeout=20).value == "moin BOB"


def test_a_client_without_generated_code_asks_by_reflection(channel, greeter):
    questions = [
        ServerReflectionRequest(list_services=""),
        ServerReflectionRequest(file_containing_symbol="google.protobuf.StringValue"),
        ServerReflectionRequest(file_containing_symbol="no.such.Thing"),
    ]
    ask = ServerReflectionStub(channel).ServerReflectionInfo
    listed, file, missing = ask(iter(questions), metadata=APP, timeout=20)
    names = [service.name for service in listed.list_services_response.service]
    assert {"compat.Greeter", "grpc.reflection.v1alpha.ServerReflection"} <= set(names)
    assert len(file.file_descriptor_response.file_descriptor_proto) == 1
    assert missing.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


def test_a_stream_of_answers(stub):
    assert [answer.value for answer in stub.Count(Int32Value(value=4), metadata=APP, timeout=20)] == [0, 1, 2, 3]


def test_a_stream_of_requests(stub):
    assert stub.Sum(iter([Int32Value(value=i) for i in range(5)]), metadata=APP, timeout=20).value == 10


def test_streams_both_ways(stub):
    answers = stub.Echo(iter([StringValue(value="a"), StringValue(value="b")]), metadata=APP, timeout=20)
    assert [answer.value for answer in answers] == ["aa", "bb"]


def test_an_exception_is_an_internal_error(stub):
    with pytest.raises(grpc.RpcError) as failed:
        stub.Fail(StringValue(value="x"), metadata=APP, timeout=20)
    assert failed.value.code() == grpc.StatusCode.INTERNAL


def test_code_and_details_that_the_handler_sets(stub):
    with pytest.raises(grpc.RpcError) as failed:
        stub.Fail(StringValue(value="code"), metadata=APP, timeout=20)
    assert failed.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert "not today" in failed.value.details()


def test_metadata_both_ways(stub):
    metadata = (*APP, ("x-mine", "yes"), ("multiplexed_model_id", "m1"))
    answer, call = stub.Meta.with_call(StringValue(value=""), metadata=metadata, timeout=20)
    assert answer.value == "m1"
    assert dict(call.trailing_metadata())["x-back"] == "yes"


def test_a_request_id_comes_back(stub):
    metadata = (*APP, ("request_id", "r-1"))
    _, call = stub.Hello.with_call(StringValue(value="x"), metadata=metadata, timeout=20)
    found = dict([*call.initial_metadata(), *call.trailing_metadata()])
    assert found["request_id"] == "r-1"


def test_with_several_applications_an_unknown_one_is_not_found(stub, run):
    run(Upper.bind(), name="another", route_prefix="/another")
    with pytest.raises(grpc.RpcError) as failed:
        stub.Hello(StringValue(value="x"), metadata=(("application", "nobody"),), timeout=20)
    assert failed.value.code() == grpc.StatusCode.NOT_FOUND


def test_a_deadline_is_kept(stub):
    with pytest.raises(grpc.RpcError) as failed:
        stub.Slow(Int32Value(value=30), metadata=APP, timeout=0.5)
    assert failed.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert stub.Hello(StringValue(value="x"), metadata=APP, timeout=20).value == "moin X"


def test_the_health_service(channel):
    call = channel.unary_unary("/ray.serve.RayServeAPIService/Healthz")
    assert b"success" in call(b"", timeout=20)


def test_the_list_of_applications(channel):
    from ray.serve.generated.serve_pb2 import HealthzRequest, ListApplicationsRequest
    from ray.serve.generated.serve_pb2_grpc import RayServeAPIServiceStub

    stub = RayServeAPIServiceStub(channel)
    assert "greeter" in stub.ListApplications(request=ListApplicationsRequest(), timeout=20).application_names
    assert stub.Healthz(request=HealthzRequest(), timeout=20).message == "success"
    call = channel.unary_unary("/ray.serve.RayServeAPIService/ListApplications")
    assert b"greeter" in call(b"", timeout=20)
