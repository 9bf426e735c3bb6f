"""The user's object on a replica: constructed, called over HTTP and by handles, checked, and ended."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import logging
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from remora import runner, serve
from remora.compat import alias
from remora.errors import BackPressureError
from remora.graph import build
from remora.replica.failure import DeploymentFailure
from remora.replica.user import Identity, UserCallable
from tests.unit.serving import serving, streamed

HELLO = Path(__file__).parents[2] / "examples" / "hello"


@pytest.fixture
def hello(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module of examples/hello, imported as a replica does."""
    monkeypatch.syspath_prepend(str(HELLO))
    alias.install()
    runner.set_runner(runner.Importing())
    yield importlib.import_module("hello")
    runner.set_runner(None)
    del sys.modules["hello"]


async def test_the_pipeline_of_the_example_answers_over_http_and_by_handle(hello: Any) -> None:
    expected = "Final output: Inferred result: HELLO WORLD"
    async with serving(hello.app) as app, app.client() as client:
        response = await client.post("/", json={"data": "hello world"})
        assert (response.status_code, response.text) == (200, expected)
        assert response.headers["content-type"] == "text/plain; charset=utf-8"
        assert await app.handle().remote({"data": "hello world"}) == expected
        assert await app.handle().remote("hello world") == expected
        response = await client.post("/", content=b'{"data": "hello world"')
        assert response.status_code == 400
        assert response.text.startswith("the request's body is not JSON: Expecting ',' delimiter")
        response = await client.post("/", json={"date": "hello world"})
        assert (response.status_code, response.text) == (400, "the request's JSON has no 'data'")


@serve.deployment
class Returns:
    """Answers with what `make` makes."""

    def __init__(self, make: Any) -> None:
        self.make = make

    async def __call__(self, request: Request) -> Any:
        return self.make()


class Item(BaseModel):
    name: str


@dataclasses.dataclass
class Point:
    x: int


@pytest.mark.parametrize(
    ("make", "content_type", "text"),
    [
        (lambda: "grüß", "text/plain; charset=utf-8", "grüß"),
        (lambda: b"raw", "text/plain", "raw"),
        (lambda: None, "text/plain; charset=utf-8", ""),
        (lambda: {"a": [1, None]}, "application/json", '{"a":[1,null]}'),
        (lambda: [1], "application/json", "[1]"),
        (lambda: 3, "application/json", "3"),
        (lambda: True, "application/json", "true"),
        (lambda: Item(name="x"), "application/json", '{"name":"x"}'),
        (lambda: [Point(1), {Item(name="x").name}], "application/json", '[{"x":1},["x"]]'),
        (lambda: {1: "a", UUID(int=0): "b"}, "application/json", f'{{"1":"a","{UUID(int=0)}":"b"}}'),
        (lambda: JSONResponse({"own": 1}, 201), "application/json", '{"own":1}'),
        (lambda: (letter for letter in "abc"), "text/plain; charset=utf-8", "abc"),
    ],
    ids=[
        "str",
        "bytes",
        "None",
        "dict",
        "list",
        "int",
        "bool",
        "pydantic",
        "dataclass",
        "keys",
        "response",
        "generator",
    ],
)
async def test_values_become_responses(make: Any, content_type: str, text: str) -> None:
    async with serving(Returns.bind(make)) as app, app.client() as client:
        response = await client.get("/")
        assert (response.headers["content-type"], response.text) == (content_type, text)
        if "generator" not in str(make()):
            assert int(response.headers["content-length"]) == len(response.content)


async def test_what_cannot_be_encoded_is_a_500_and_the_log_names_the_deployment(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(Returns.bind(lambda: 1j)) as app, app.client() as client:
        response = await client.get("/")
        assert (response.status_code, response.text) == (500, "Internal Server Error")
    assert "deployment 'Returns': request" in caplog.text
    assert "complex cannot be encoded as JSON" in caplog.text


async def test_an_exception_is_a_500_and_the_log_has_the_traceback(caplog: pytest.LogCaptureFixture) -> None:
    @serve.deployment
    def breaks() -> None:
        raise ValueError("bad weather")

    async with serving(breaks.bind()) as app, app.client() as client:
        response = await client.get("/")
        assert (response.status_code, response.text) == (500, "Internal Server Error")
    assert "deployment 'breaks'" in caplog.text
    assert "ValueError: bad weather" in caplog.text


@pytest.mark.parametrize(
    ("error", "status", "headers"),
    [
        (BackPressureError(1, 1), 503, {"retry-after": "1"}),
        (HTTPException(418, "tea", {"x-pot": "1"}), 418, {"x-pot": "1"}),
    ],
    ids=["back pressure", "HTTPException"],
)
async def test_some_exceptions_have_a_status(error: Exception, status: int, headers: dict[str, str]) -> None:
    @serve.deployment
    async def raises(request: Any) -> None:
        raise error

    async with serving(raises.bind()) as app, app.client() as client:
        response = await client.get("/")
        assert response.status_code == status
        assert headers.items() <= dict(response.headers).items()
        assert response.text in (str(error), "tea")


async def test_a_callable_without_parameters_is_called_without_the_request() -> None:
    @serve.deployment
    class NoParameters:
        def __init__(self, message: str) -> None:
            self.message = message

        def __call__(self) -> str:
            return self.message

    async with serving(NoParameters.bind("Hello world!")) as app, app.client() as client:
        assert (await client.get("/")).text == "Hello world!"
        assert await app.handle().remote() == "Hello world!"


async def test_async_code_runs_on_the_loop_and_plain_code_in_threads_with_the_context() -> None:
    @serve.deployment
    class Threads:
        def __init__(self) -> None:
            self.made_on_loop = threading.current_thread() is threading.main_thread()

        async def on_loop(self) -> tuple[bool, str]:
            return threading.current_thread() is threading.main_thread(), serve.get_replica_context().deployment

        def in_pool(self) -> tuple[bool, str]:
            return threading.current_thread() is threading.main_thread(), serve.get_replica_context().deployment

        def at_construction(self) -> bool:
            return self.made_on_loop

    async with serving(Threads.bind()) as running:
        assert await running.handle().on_loop.remote() == (True, "Threads")
        assert await running.handle().in_pool.remote() == (False, "Threads")
        assert await running.handle().at_construction.remote()


async def test_plain_handlers_run_beside_each_other_up_to_max_ongoing_requests() -> None:
    meeting = threading.Barrier(3, timeout=5)

    @serve.deployment(max_ongoing_requests=3)
    class Meets:
        def __init__(self, meet: Any) -> None:
            self.meet = meet

        def __call__(self) -> Any:
            return self.meet()

    # A barrier does not pickle; a function of this module, found by name, does.
    globals()["_meet"] = meeting.wait
    async with serving(Meets.bind(_meet_by_name)) as app:
        found = await asyncio.gather(*(app.handle().remote() for _ in range(3)))
    assert sorted(found) == [0, 1, 2]


def _meet_by_name() -> Any:
    return globals()["_meet"]()


@serve.deployment
class Streams:
    def plain(self, count: int) -> Iterator[int]:
        yield from range(count)

    async def asynchronous(self, count: int) -> AsyncIterator[int]:
        for number in range(count):
            yield number

    async def breaks(self) -> AsyncIterator[int]:
        yield 1
        raise ValueError("half way")

    def value(self) -> int:
        return 1

    async def __call__(self, request: Request) -> Any:
        return self.asynchronous(3)


async def test_generators_stream_to_handles_and_over_http() -> None:
    async with serving(Streams.bind()) as app, app.client() as client:
        handle = app.handle().options(stream=True)
        assert [item async for item in streamed(handle.plain.remote(3))] == [0, 1, 2]
        assert [item async for item in streamed(handle.asynchronous.remote(3))] == [0, 1, 2]
        assert (await client.get("/")).text == "012"
        broken = streamed(handle.breaks.remote())
        assert await anext(broken) == 1
        with pytest.raises(ValueError, match="half way"):
            await anext(broken)
        with pytest.raises(TypeError, match=r"'value' of deployment 'Streams' returned int and no generator"):
            await anext(streamed(handle.value.remote()))
        with pytest.raises(TypeError, match=r"returned a generator: call it with handle.options\(stream=True\)"):
            await app.handle().plain.remote(3)


async def test_an_unknown_method_names_those_there_are() -> None:
    async with serving(Streams.bind()) as app:
        with pytest.raises(AttributeError, match=r"'Streams' has no method 'plan'; its methods are: __call__, async"):
            await app.handle().plan.remote()


@pytest.mark.parametrize("value", [True, None, 3, {"a": 1}, [1], "x"], ids=repr)
async def test_stages_that_are_functions_take_the_value(value: Any) -> None:
    @serve.deployment
    def first(request: Any) -> Any:
        return request.json()["data"]

    async def second(found: Any) -> list[Any]:
        return [found]

    def third(found: list[Any]) -> dict[str, Any]:
        return {"found": found}

    async with serving(first.bind().then(second).then(third)) as app, app.client() as client:
        assert (await client.post("/", json={"data": value})).json() == {"found": [value]}


async def test_a_response_of_a_stage_ends_the_chain() -> None:
    @serve.deployment
    def gate(request: Any) -> Response:
        return Response("no entry", 403)

    async with serving(gate.bind().then(len)) as app, app.client() as client:
        response = await client.get("/")
        assert (response.status_code, response.text) == (403, "no entry")


async def test_an_error_in_a_later_stage_is_raised_as_what_it_is() -> None:
    @serve.deployment
    def first(value: Any) -> Any:
        return value

    def fails(value: str) -> None:
        raise LookupError("not in stock")

    async with serving(first.bind().then(fails)) as app, app.client() as client:
        with pytest.raises(LookupError, match="not in stock"):
            await app.handle().remote("x")
        assert (await client.post("/", json=1)).status_code == 500


async def create(app: serve.Application, user_config: Any = None) -> UserCallable:
    built = build.build(app)
    (definition,) = built.definitions.values()
    return await asyncio.create_task(UserCallable.create(definition, Identity("shop", "r1"), user_config))


async def test_a_constructor_that_raises_names_deployment_class_and_reason() -> None:
    @serve.deployment
    class Model:
        def __init__(self) -> None:
            raise ValueError("no weights\nat all")

    with pytest.raises(DeploymentFailure) as failed:
        await create(Model.bind())
    assert str(failed.value).startswith(f"deployment 'Model': the constructor of {__name__}.")
    assert str(failed.value).endswith("Model failed: ValueError: no weights at all")
    assert 'raise ValueError("no weights' in failed.value.trace


async def test_constructors_may_be_async() -> None:
    @serve.deployment
    class Slow:
        async def __init__(self, word: str) -> None:  # type: ignore[misc]
            await asyncio.sleep(0)
            self.word = word

        def __call__(self) -> str:
            return self.word

    async with serving(Slow.bind("ready")) as app:
        assert await app.handle().remote() == "ready"


async def test_a_definition_that_cannot_be_loaded_says_so() -> None:
    with pytest.raises(DeploymentFailure, match="deployment 'shop': its definition cannot be loaded here"):
        await UserCallable.create(b"junk", Identity("shop", "r1"))


@serve.deployment
class Configured:
    def __init__(self) -> None:
        self.seen: list[Any] = []

    def reconfigure(self, user_config: dict[str, Any]) -> None:
        if user_config.get("bad"):
            raise ValueError("bad config")
        self.seen.append(user_config["threshold"])

    def check_health(self) -> None:
        if len(self.seen) > 1:
            raise RuntimeError("out of memory")

    async def __call__(self) -> list[Any]:
        return self.seen


async def test_user_config_reaches_reconfigure_at_the_start_and_later() -> None:
    async with serving(Configured.options(user_config={"threshold": 1}).bind()) as app:
        assert await app.handle().remote() == [1]
        user = app.replicas_by_name["Configured"]
        await user.check_health()
        await user.reconfigure({"threshold": 2}, max_ongoing_requests=7)
        assert await app.handle().remote() == [1, 2]
        with pytest.raises(DeploymentFailure, match="'Configured': check_health failed: RuntimeError: out of memory"):
            await user.check_health()
        with pytest.raises(DeploymentFailure, match="'Configured': reconfigure failed: ValueError: bad config"):
            await user.reconfigure({"bad": True})


async def test_a_user_config_needs_a_method_to_take_it() -> None:
    with pytest.raises(DeploymentFailure, match="a user_config is given and its class has no method reconfigure"):
        await create(Streams.bind(), user_config={"a": 1})


async def test_del_runs_once_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    @serve.deployment
    class Ends:
        def __del__(self) -> None:
            logging.getLogger("ends").info("the end")

    user = await create(Ends.bind())
    await user.close()
    del user
    assert caplog.text.count("the end") == 1


async def test_cancelling_a_request_cancels_the_calls_made_on_its_behalf() -> None:
    cancelled = asyncio.Event()
    started = asyncio.Event()

    class Waits:
        async def __call__(self) -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise

    class Asks:
        def __init__(self, handle: Any) -> None:
            self.handle = handle

        async def __call__(self, request: Any) -> None:
            response = self.handle.remote()
            await asyncio.Event().wait()
            await response

    # In the same process and by name, so that the events are these.
    globals().update(Waits=Waits, Asks=Asks)
    for cls in (Waits, Asks):
        cls.__qualname__ = cls.__name__
    async with serving(serve.deployment(Asks).bind(serve.deployment(Waits).bind())) as app, app.client() as client:
        request = asyncio.create_task(client.get("/"))
        await asyncio.wait_for(started.wait(), 5)
        request.cancel()
        await asyncio.wait_for(cancelled.wait(), 5)
