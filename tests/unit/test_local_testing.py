"""Applications in this process: `serve.run(app, _local_testing_mode=True)`, run_many, and handles by name."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import pytest

from remora import serve
from remora.errors import RemoraError
from remora.graph.application import Application
from tests.unit.serving import streamed


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    yield
    serve.shutdown()


@serve.deployment(user_config={"plus": 100})
class Outer:
    async def __init__(self, inner: Any) -> None:  # type: ignore[misc]  # it may be
        self.inner = inner

    def reconfigure(self, config: dict[str, int]) -> None:
        self.plus = config["plus"]

    async def __call__(self, number: int) -> Any:
        return await self.inner.remote(self.inner.remote(number)) + self.plus

    async def pid(self) -> Any:
        return await serve.get_deployment_handle("Inner").pid.remote()


@serve.deployment
class Inner:
    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __call__(self, number: int) -> int:
        return self.factor * number

    def pid(self) -> int:
        return os.getpid()

    def count(self, to: int) -> Any:
        yield from range(to)


def run(app: Application, **options: Any) -> Any:
    return serve.run(app, _local_testing_mode=True, **options)


def test_an_application_runs_in_this_process() -> None:
    handle = run(Outer.bind(Inner.bind(3)), name="local")
    assert handle.remote(2).result() == 118
    assert handle.pid.remote().result() == os.getpid()

    async def ask() -> Any:
        return await handle.remote(1)

    assert asyncio.run(ask()) == 109
    counting = serve.get_deployment_handle("Inner", "local").options(stream=True).count
    assert list(streamed(counting.remote(3))) == [0, 1, 2]


def test_an_application_that_is_deleted_is_gone() -> None:
    handle = run(Inner.bind(3))
    serve.delete("default")
    with pytest.raises(RemoraError, match="nothing serves here"):
        handle.remote(1)


def test_several_applications_run_at_once() -> None:
    targets = [serve.RunTarget(Inner.bind(n), name=f"by-{n}", route_prefix=f"/{n}") for n in (2, 3)]
    handles = serve.run_many(targets, wait_for_applications_running=True, _local_testing_mode=True)
    assert [handle.remote(10).result() for handle in handles] == [20, 30]
    assert serve.get_app_handle("by-2").remote(1).result() == 2


@pytest.mark.parametrize(
    ("targets", "says"),
    [
        ([], "one application at least"),
        ([serve.RunTarget(Inner.bind(1)), serve.RunTarget(Inner.bind(1), route_prefix="/b")], "name 'default'"),
        ([serve.RunTarget(Inner.bind(1)), serve.RunTarget(Inner.bind(1), name="b")], "route_prefix '/'"),
    ],
    ids=["none", "names", "routes"],
)
def test_run_many_refuses_what_cannot_run_together(targets: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        serve.run_many(targets, _local_testing_mode=True)


def test_handles_of_what_does_not_run_are_refused() -> None:
    run(Inner.bind(1))
    with pytest.raises(RemoraError, match="Application 'nobody' does not exist"):
        serve.get_app_handle("nobody")
    with pytest.raises(RemoraError, match="'default' has no deployment 'Nobody'; it has Inner"):
        serve.get_deployment_handle("Nobody", "default")
    with pytest.raises(RemoraError, match="the application has to be named"):
        serve.get_deployment_handle("Inner")


def test_there_is_no_replica_context_in_the_test_itself() -> None:
    run(Inner.bind(1)).remote(1).result()
    with pytest.raises(RemoraError, match="get_replica_context"):
        serve.get_replica_context()


def test_a_constructor_that_raises_is_said() -> None:
    @serve.deployment
    class Broken:
        def __init__(self) -> None:
            raise OSError("no weights")

    with pytest.raises(RemoraError, match=r"deployment 'Broken': the constructor of .* failed: OSError: no weights"):
        run(Broken.bind())


def test_there_is_no_trace_context_without_trace_headers() -> None:
    assert serve.get_trace_context() is None
