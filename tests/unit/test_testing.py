"""`remora.testing`: applications in this process, over the real proxy and real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.websockets import WebSocket
from websockets.sync.client import connect

from remora import serve, testing
from remora.errors import GraphError, RemoraError
from remora.handle import DeploymentHandle
from remora.local import stage
from remora.replica.failure import DeploymentFailure
from tests.unit.serving import streamed

ROOT = Path(__file__).parents[2]


class Inner:
    """What a test can patch."""

    @staticmethod
    def word() -> str:
        return "inner"


@serve.deployment(user_config={"suffix": "!"})
class Worker:
    def __init__(self, times: int) -> None:
        self.times = times
        self.suffix = ""

    def reconfigure(self, config: dict[str, str]) -> None:
        self.suffix = config["suffix"]

    def repeat(self, text: str) -> str:
        return text * self.times + self.suffix

    async def count(self, to: int) -> AsyncIterator[int]:
        for number in range(to):
            yield number

    def fails(self) -> None:
        raise LookupError("nothing here")


@serve.deployment
class Front:
    def __init__(self, worker: DeploymentHandle) -> None:
        self.worker = worker

    async def __call__(self, request: Any) -> Any:
        if request.method == "POST":
            return {"got": await request.json(), "type": request.headers["content-type"]}
        return await self.worker.repeat.remote(request.query_params.get("word", Inner.word()))


app = FastAPI()


@serve.deployment
@serve.ingress(app)
class Echo:
    @app.websocket("/echo")
    async def echo(self, socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(f"you said {await socket.receive_text()}")


def build(args: dict[str, Any]) -> Any:
    return Front.bind(Worker.bind(args["times"]))


def test_answers_http_and_handles_like_a_cluster() -> None:
    with testing.application(Front.bind(Worker.bind(2)), route_prefix="/api") as client:
        assert client.get(params={"word": "ab"}).text == "abab!"
        assert client.get("/any/path?word=c").text == "cc!"
        answer = client.post("/", json={"a": 1})
        assert (answer.status, answer.json()) == (200, {"got": {"a": 1}, "type": "application/json"})
        assert client.handle("Worker").repeat.remote("x").result() == "xx!"
        items = client.handle("Worker").options(stream=True).count.remote(3)
        assert list(streamed(items)) == [0, 1, 2]
        with pytest.raises(LookupError, match="nothing here"):
            client.handle("Worker").fails.remote().result()


def test_the_proxy_is_the_real_one() -> None:
    with testing.application(Front.bind(Worker.bind(2)), route_prefix="/api") as client:
        answer = client.get("/", headers={"X-Request-Id": "mine"})
        assert answer.headers["x-request-id"] == "mine"
        host = client.url.removeprefix("http://").partition("/")[0]
        connection = http.client.HTTPConnection(host, timeout=10)
        connection.request("GET", "/elsewhere")
        assert connection.getresponse().status == 404
        connection.close()


def test_what_a_test_patches_is_what_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    with testing.application(build, args={"times": 1}) as client:
        monkeypatch.setattr(Inner, "word", lambda: "patched")
        assert client.get().text == "patched!"


def test_an_import_path_with_arguments() -> None:
    with testing.application(f"{__name__}:build", args={"times": 3}) as client:
        assert client.get("/?word=x").text == "xxx!"


def test_several_applications_at_a_time() -> None:
    with (
        testing.application(Front.bind(Worker.bind(1)), name="one", route_prefix="/one") as one,
        testing.application(Front.bind(Worker.bind(2)), name="two", route_prefix="/two") as two,
    ):
        assert (one.get("/?word=x").text, two.get("/?word=x").text) == ("x!", "xx!")
        with (
            pytest.raises(RemoraError, match="application 'one' is served already"),
            testing.application(Front.bind(Worker.bind(1)), name="one"),
        ):
            raise AssertionError("it is not served")
        assert one.get("/?word=x").text == "x!"


def test_everything_is_gone_afterwards() -> None:
    before = set(threading.enumerate())
    with testing.application(Front.bind(Worker.bind(1))) as client:
        url = client.url
        assert client.get().status == 200
    # Threads of the user's code were told to end, and nobody waits for them: they may be at work.
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
    assert {thread.name for thread in set(threading.enumerate()) - before} == set()
    with pytest.raises(OSError):
        testing.Client(url, "default", "/").get()
    with pytest.raises(RemoraError, match="handles cannot call from this process"):
        client.handle().remote()


def test_needs_no_other_process() -> None:
    """What keeps a test with an application as quick as one without: nothing is started, and Ray not connected."""

    def children() -> set[str]:
        found: set[str] = set()
        for thread in Path("/proc/self/task").iterdir():
            # One that ends meanwhile leaves what it started to another.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found.update((thread / "children").read_text().split())
        return found

    before = children()
    with testing.application(Front.bind(Worker.bind(1))) as client:
        assert client.get("/?word=x").text == "x!"
        assert children() <= before
        ray = sys.modules.get("ray")
        assert ray is None or not ray.is_initialized()


def test_a_constructor_that_raises_is_said_and_leaves_nothing() -> None:
    @serve.deployment
    class Broken:
        def __init__(self) -> None:
            raise ValueError("no weights")

    with pytest.raises(DeploymentFailure, match=r"deployment 'Broken': the constructor of .* failed: ValueError"):
        testing.application(Front.bind(Broken.bind())).__enter__()
    with testing.application(Front.bind(Worker.bind(1))) as client:
        assert client.get("/?word=x").text == "x!"


OVER = threading.Event()


@serve.deployment
class Hanging:
    async def __init__(self, blocks: bool) -> None:  # type: ignore[misc]  # Ray Serve allows it
        if blocks:
            OVER.wait(60)
        await asyncio.Event().wait()


@pytest.mark.parametrize("blocks", [False, True], ids=["async", "blocking"])
def test_a_constructor_that_hangs_is_named_and_the_next_test_goes_on(
    blocks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "ANSWER_S", 0.2)
    try:
        with pytest.raises(RemoraError, match=r"deployment 'Hanging': its constructor did not return within 0\.5 s"):
            testing.application(Front.bind(Hanging.bind(blocks)), start_timeout_s=0.5).__enter__()
        with testing.application(Front.bind(Worker.bind(1))) as client:
            assert client.get("/?word=x").text == "x!"
    finally:
        OVER.set()


def test_says_what_is_no_application() -> None:
    with pytest.raises(GraphError, match="is int, and must be an Application"):
        testing.application(3).__enter__()


def test_the_blocks_own_error_comes_through() -> None:
    with pytest.raises(KeyError, match="mine"), testing.application(Front.bind(Worker.bind(1))):
        raise KeyError("mine")


async def test_in_tests_that_are_coroutines() -> None:
    async with testing.async_application(Front.bind(Worker.bind(2))) as client:
        answers = await asyncio.gather(*(client.get(f"/?word={letter}") for letter in "abc"))
        assert [answer.text for answer in answers] == ["aa!", "bb!", "cc!"]
        assert await client.handle("Worker").repeat.remote("x") == "xx!"
        items = streamed(client.handle("Worker").options(stream=True).count.remote(3))
        assert [item async for item in items] == [0, 1, 2]


def test_the_plugin_makes_ray_serve_remora_and_brings_a_fixture(tmp_path: Path) -> None:
    (tmp_path / "greeting.py").write_text(
        textwrap.dedent(
            """
            from ray import serve
            @serve.deployment
            class Greeter:
                def __call__(self, request): return f"Hello, {request.query_params['name']}!"
            app = Greeter.bind()
            """
        )
    )
    (tmp_path / "test_greeting.py").write_text(
        textwrap.dedent(
            """
            from greeting import app, serve
            def test_the_alias():
                assert serve.__name__ == "remora.serve"
            def test_it_greets(serve_application):
                assert serve_application(app).get("/?name=Ada").text == "Hello, Ada!"
            """
        )
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p remora.pytest\n")
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_the_plugin_says_when_it_comes_too_late(tmp_path: Path) -> None:
    (tmp_path / "early.py").write_text("import sys, types; sys.modules['ray.serve'] = types.ModuleType('ray.serve')\n")
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "early", "-p", "remora.pytest"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "-p remora.pytest: ray.serve was imported before Remora's alias was installed" in done.stderr
    assert "name this plugin before those that import it" in done.stderr


def test_websockets_go_both_ways() -> None:
    with (
        testing.application(Echo.bind()) as client,
        connect(client.url.replace("http://", "ws://") + "/echo") as socket,
    ):
        socket.send("hello")
        assert socket.recv(10) == "you said hello"
