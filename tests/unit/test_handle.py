"""Handles: calls between deployments, from async code, from threads, and what goes wrong."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import pytest
from starlette.requests import Request

from remora import serve
from remora.errors import DeploymentUnavailable, OptionError, RemoraError, RequestCancelledError
from remora.handle import DeploymentHandle, runtime
from remora.handle.failure import RemoteError, RemoteTraceback
from tests.unit.serving import serving, streamed


@serve.deployment
class Adder:
    def __init__(self, increment: int = 1) -> None:
        self.increment = increment

    def __call__(self, value: int) -> int:
        return value + self.increment

    async def slow(self) -> None:
        await asyncio.Event().wait()

    def fail(self) -> None:
        raise KeyError("lost")

    def fail_oddly(self) -> None:
        raise Odd(print)

    def lock(self) -> Any:
        import threading

        return threading.Lock()


class Odd(Exception):
    def __reduce__(self) -> Any:
        raise TypeError("not to be pickled")


@serve.deployment
class Driver:
    def __init__(self, *handles: Any, by_name: dict[str, Any] | None = None) -> None:
        self.handles = [*handles, *(by_name or {}).values()]

    async def __call__(self, request: Request) -> int:
        value = (await request.json())["n"]
        return sum([await handle.remote(value) for handle in self.handles])

    def from_a_thread(self, value: int) -> Any:
        return self.handles[0].remote(value).result(timeout_s=5)

    async def pass_on(self, value: int) -> Any:
        return await self.handles[0].remote(self.handles[1].remote(value=value))

    async def request_on(self, request: Request) -> Any:
        return await self.handles[0].remote(request)


async def test_bound_deployments_arrive_as_handles_also_in_lists_and_dicts() -> None:
    app = Driver.bind(Adder.bind(), Adder.bind(10), by_name={"third": Adder.bind(100)})
    async with serving(app) as running, running.client() as client:
        assert (await client.post("/", json={"n": 1})).text == "114"


async def test_a_response_is_an_argument_without_being_awaited() -> None:
    async with serving(Driver.bind(Adder.bind(), Adder.bind(10))) as app:
        assert await app.handle().pass_on.remote(1) == 12


async def test_plain_code_waits_with_result() -> None:
    async with serving(Driver.bind(Adder.bind())) as app:
        assert await app.handle().from_a_thread.remote(1) == 2


async def test_a_driver_thread_waits_with_result_and_iterates() -> None:
    async with serving(Adder.bind()) as app:

        def drive() -> Any:
            return app.handle().remote(4).result()

        assert await asyncio.to_thread(drive) == 5


async def test_result_on_the_loop_is_refused() -> None:
    async with serving(Adder.bind()) as app:
        response = app.handle().remote(1)
        with pytest.raises(RemoraError, match="would block the event loop for ever"):
            response.result()
        assert await response == 2
        assert await response == 2


async def test_result_gives_up_after_its_time_and_the_call_goes_on() -> None:
    async with serving(Adder.bind()) as app:

        def wait() -> None:
            response = app.handle().slow.remote()
            with pytest.raises(TimeoutError, match=r"no response within 0.01 s"):
                response.result(timeout_s=0.01)
            assert not response.cancelled()
            response.cancel()
            with pytest.raises(RequestCancelledError):
                response.result()

        await asyncio.to_thread(wait)


async def test_a_cancelled_call_is_an_error_of_its_own() -> None:
    async with serving(Adder.bind()) as app:
        response = app.handle().slow.remote()
        await asyncio.sleep(0)
        response.cancel()
        with pytest.raises(RequestCancelledError):
            await response
        assert response.cancelled()


async def test_cancelling_the_waiting_task_is_a_cancellation() -> None:
    async with serving(Adder.bind()) as app:
        response = app.handle().slow.remote()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(response, 0.01)


async def test_exceptions_keep_their_type_and_bring_the_remote_traceback() -> None:
    async with serving(Adder.bind()) as app:
        with pytest.raises(KeyError, match="lost") as raised:
            await app.handle().fail.remote()
        assert isinstance(raised.value.__cause__, RemoteTraceback)
        assert "deployment 'Adder' raised KeyError" in str(raised.value.__cause__)
        assert 'raise KeyError("lost")' in str(raised.value.__cause__)


async def test_an_exception_that_cannot_travel_arrives_as_text() -> None:
    async with serving(Adder.bind()) as app:
        with pytest.raises(RemoteError, match="deployment 'Adder' raised Odd"):
            await app.handle().fail_oddly.remote()


async def test_what_cannot_be_pickled_is_said_on_both_sides() -> None:
    import threading

    async with serving(Adder.bind()) as app:
        with pytest.raises(RemoraError, match="call of deployment 'Adder': an argument cannot be pickled: TypeError"):
            app.handle("Adder").remote(threading.Lock())
        with pytest.raises(TypeError, match="deployment 'Adder' returned lock, which cannot be pickled"):
            await app.handle().lock.remote()
        with pytest.raises(RemoraError, match="a response inside a list"):
            app.handle().remote([app.handle().remote(1)])


async def test_large_values_travel_out_of_band() -> None:
    @serve.deployment
    def size(value: bytearray) -> int:
        return len(value)

    class Big:
        def __init__(self, data: bytearray) -> None:
            self.data = data

        def __len__(self) -> int:
            return len(self.data)

        def __reduce_ex__(self, protocol: Any) -> Any:
            return Big, (pickle.PickleBuffer(self.data),)

    async with serving(size.bind()) as app:
        assert await app.handle().remote(Big(bytearray(3_000_000))) == 3_000_000


def test_a_handle_pickles_small_and_shows_what_it_calls() -> None:
    handle = DeploymentHandle("Model", "shop").options(method_name="predict", stream=True)
    assert len(pickle.dumps(handle)) < 250
    assert repr(pickle.loads(pickle.dumps(handle))) == "<DeploymentHandle shop/Model.predict>"
    assert repr(DeploymentHandle("Model", "shop").predict) == "<DeploymentHandle shop/Model.predict>"


def test_unknown_options_are_refused() -> None:
    with pytest.raises(OptionError, match="handle to 'Model': unknown option 'strem'; known are method_name, stream"):
        DeploymentHandle("Model").options(strem=True)
    with pytest.warns(UserWarning, match="option _prefer_local_routing is accepted and has no effect yet"):
        DeploymentHandle("Model").options(_prefer_local_routing=True)


@pytest.mark.parametrize(
    "given",
    [
        {"stream": 1},
        {"method_name": None},
        {"multiplexed_model_id": 3},
        {"session_id": b"s"},
        {"request_serialization": "xml"},
    ],
)
def test_options_of_a_wrong_type_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"handle to 'Model': option {next(iter(given))} is .*, and must be"):
        DeploymentHandle("Model").options(**given)


def test_choices_of_transport_are_accepted() -> None:
    handle = DeploymentHandle("Model").options(
        _by_reference=False, request_serialization="msgpack", response_serialization="pickle"
    )
    assert handle.options()._options == DeploymentHandle("Model")._options


def test_a_handle_in_a_process_that_serves_nothing_says_so() -> None:
    runtime.set_caller(None)
    with pytest.raises(RemoraError, match="nothing serves here"):
        DeploymentHandle("Model").remote(1)


async def test_the_request_id_and_headers_follow_the_calls() -> None:
    from remora.handle import context

    @serve.deployment
    def inner() -> tuple[str, Any]:
        return context.current().request_id, dict(context.current().headers)

    @serve.deployment
    class Outer:
        def __init__(self, handle: Any) -> None:
            self.handle = handle

        def __call__(self, request: Request) -> Any:
            return self.handle.remote().result()

    async with serving(Outer.bind(inner.bind())) as app, app.client() as client:
        response = await client.get("/", headers={"x-request-id": "r-1", "traceparent": "00-1-1-00", "cookie": "no"})
        assert response.json() == ["r-1", {"traceparent": "00-1-1-00"}]


async def test_a_response_may_be_returned_without_being_awaited() -> None:
    class Returns:
        def __init__(self, handle: Any) -> None:
            self.handle = handle

        async def asynchronous(self) -> Any:
            return self.handle.remote(1)

        def plain(self) -> Any:
            return self.handle.remote(1)

    async with serving(serve.deployment(Returns).bind(Adder.bind())) as app:
        assert await app.handle().asynchronous.remote() == 2
        assert await app.handle().plain.remote() == 2


async def test_a_request_can_be_passed_to_another_deployment() -> None:
    @serve.deployment
    class Reads:
        async def __call__(self, request: Request) -> Any:
            return await request.json()

    @serve.deployment
    class PassesOn:
        def __init__(self, handle: Any) -> None:
            self.handle = handle

        async def __call__(self, request: Request) -> Any:
            return await self.handle.remote(request)

    async with serving(PassesOn.bind(Reads.bind())) as app, app.client() as client:
        assert (await client.post("/", json={"n": 1})).json() == {"n": 1}


@serve.deployment
class Counts:
    def __init__(self) -> None:
        self.closed = asyncio.Event()

    async def to(self, number: int) -> Any:
        try:
            for each in range(number):
                yield each
            await asyncio.Event().wait()
        finally:
            self.closed.set()

    async def was_closed(self) -> bool:
        async with asyncio.timeout(5):
            return await self.closed.wait()

    def add(self, a: int, b: int = 0) -> int:
        if a < 0:
            raise ValueError("negative")
        return a + b


async def test_a_streaming_response_is_iterated_and_nothing_else() -> None:
    async with serving(Counts.bind()) as app:
        response = streamed(app.handle().options(stream=True).to.remote(2))
        assert response.request_id
        assert [await anext(response), await anext(response)] == [0, 1]
        with pytest.raises(TypeError, match="cannot be awaited"):
            await response
        with pytest.raises(TypeError, match="has no single result"):
            response.result()
        with pytest.raises(RuntimeError, match="would block the event loop"):
            next(response)
        with pytest.raises(RuntimeError, match="cannot be an argument of another call"):
            app.handle().add.remote(response)


async def test_cancelling_a_streaming_response_ends_the_generator_and_whoever_waits_for_it() -> None:
    async with serving(Counts.bind()) as app:
        response = streamed(app.handle().options(stream=True).to.remote(1))
        assert await anext(response) == 0
        waiting = asyncio.create_task(anext(response))
        await asyncio.sleep(0)
        assert not response.cancelled()
        response.cancel()
        assert response.cancelled()
        for step in (waiting, anext(response)):
            with pytest.raises(RequestCancelledError, match=response.request_id):
                await step
        assert await app.handle().was_closed.remote()


async def test_cancelling_the_task_that_iterates_is_a_cancellation() -> None:
    async with serving(Counts.bind()) as app:
        response = streamed(app.handle().options(stream=True).to.remote(0))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(response), 0.01)
        assert await app.handle().was_closed.remote()


async def test_a_broadcast_gives_a_result_of_every_replica() -> None:
    async with serving(Counts.bind()) as app:
        handle = app.handle()
        assert await handle.broadcast("add", 1, b=2).results_async() == [3]
        failed = handle.broadcast("add", -1)
        assert [repr(error) for error in await failed.results_async(return_exceptions=True)] == [
            "ValueError('negative')"
        ]
        with pytest.raises(ValueError, match="negative"):
            await failed.results_async(timeout_s=5)
        with pytest.raises(RuntimeError, match="would block the event loop"):
            failed.results()
        with pytest.raises(ValueError, match="timeout_s"):
            await failed.results_async(timeout_s=-1)
        with pytest.raises(TimeoutError, match="not all replicas"):
            await DeploymentHandle("Counts", "shop").broadcast("was_closed").results_async(timeout_s=0.01)
        assert await asyncio.to_thread(lambda: handle.broadcast("add", 1).results(timeout_s=5)) == [1]


async def test_a_chosen_replica_takes_one_call_of_its_own_deployment() -> None:
    async with serving(Driver.bind(Counts.bind())) as app:
        handle = app.handle("Counts").add
        async with handle.choose_replica() as found:
            assert found.to_dict()["replica_id"] == "shop#Counts#1"
            assert found.address == "127.0.0.1"
            with pytest.raises(ValueError, match="was chosen for shop#Counts"):
                app.handle("Driver").dispatch(found, 1)
            assert await handle.dispatch(found, 1, b=1) == 2
            with pytest.raises(RuntimeError, match="choose again"):
                handle.dispatch(found, 1)
        async with app.handle("Counts").options(stream=True).to.choose_replica() as found:
            assert await anext(streamed(handle.dispatch(found, 1))) == 0


async def test_handles_say_whether_anything_serves_behind_them() -> None:
    async with serving(Counts.bind()) as app:
        assert app.handle().running_replicas_populated()
        assert app.handle().is_initialized
        assert not app.handle("Other").running_replicas_populated()
        with pytest.raises(DeploymentUnavailable, match="no deployment 'Other'"):
            await app.handle("Other").remote()
        await app.handle().shutdown_async()
        app.handle().shutdown()
        assert await app.handle().add.remote(1) == 1


async def test_an_unknown_method_is_an_error_of_remoras_and_of_pythons() -> None:
    async with serving(Adder.bind()) as app:
        for kind in (RemoraError, AttributeError):
            with pytest.raises(kind, match="'Adder' has no method 'nothing'"):
                await app.handle().nothing.remote()
