"""Graphs at work: nodes, branches, fan-out and drivers, in one process."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random
from typing import Any

import pytest

from remora import serve
from remora.compat.json import MissingItem
from remora.drivers import DAGDriver
from remora.drivers.http_adapters import json_request
from remora.errors import GraphError
from remora.graph.condition import Condition
from remora.graph.node import InputNode
from remora.handle import DeploymentHandle, flow
from tests.unit.serving import serving

calls: Counter[str] = Counter()


@serve.deployment
class Add:
    def __init__(self, by: int) -> None:
        self.by = by

    def to(self, number: int) -> int:
        calls[f"add {self.by}"] += 1
        return number + self.by

    def __call__(self, number: int) -> int:
        return self.to(number)


@serve.deployment
def double(number: int) -> int:
    calls["double"] += 1
    return 2 * number


@serve.deployment
def listed(*values: Any, **named: Any) -> list[Any]:
    return [*values, *named.items()]


@serve.deployment
class Number:
    """An ingress that reads a number."""

    def __call__(self, request: Any) -> int:
        return int(request.json()["data"])


@pytest.fixture(autouse=True)
def _counted() -> None:
    calls.clear()


async def predict(driver: Any, *args: Any, **kwargs: Any) -> Any:
    async with serving(driver) as app:
        return await app.handle().predict.remote(*args, **kwargs)


async def test_a_graph_of_a_function_and_a_method() -> None:
    with InputNode() as inp:
        output = Add.bind(2).to.bind(double.bind(inp))
    assert await predict(DAGDriver.bind(output), 1) == 4


async def test_a_node_that_several_take_runs_once() -> None:
    with InputNode() as inp:
        shared = double.bind(inp)
        output = listed.bind([shared, Add.bind(1).to.bind(shared)], {"x": (shared,)}, key=shared)
    assert await predict(DAGDriver.bind(output), 3) == [[6, 7], {"x": (6,)}, ("key", 6)]
    assert calls["double"] == 1


@pytest.mark.parametrize(
    ("part", "args", "kwargs", "expected"),
    [
        (lambda inp: inp, ({"a": 1},), {}, {"a": 1}),
        (lambda inp: inp[1], (5, 6), {}, 6),
        (lambda inp: inp.word, (5,), {"word": "w"}, "w"),
        (lambda inp: inp["word"], (), {"word": "w"}, "w"),
        (lambda inp: inp["word"], ({"word": "w"},), {}, "w"),
        (lambda inp: inp.word, ({"word": "w"},), {}, "w"),
        (lambda inp: inp.real, (3,), {}, 3),
        (lambda inp: inp[0]["x"], ([{"x": 8}],), {}, 8),
    ],
)
async def test_parts_of_the_input(part: Any, args: Any, kwargs: Any, expected: Any) -> None:
    with InputNode() as inp:
        driver = DAGDriver.bind(listed.bind(part(inp)))
    assert await predict(driver, *args, **kwargs) == [expected]


async def test_a_part_that_is_not_there_and_a_wrong_number_of_arguments_are_said() -> None:
    with InputNode() as inp:
        driver = DAGDriver.bind({"/part": listed.bind(inp["word"]), "/whole": listed.bind(inp)})
    async with serving(driver) as app:
        with pytest.raises(MissingItem, match="has no 'word'"):
            await app.handle().predict_with_route.remote("/part", {})
        with pytest.raises(GraphError, match="takes one argument and was called with 2"):
            await app.handle().predict_with_route.remote("/whole", 1, 2)
        with pytest.raises(GraphError, match="has no graph for route '/other'; it has /part, /whole"):
            await app.handle().predict_with_route.remote("/other", 1)
        with pytest.raises(GraphError, match="several graphs"):
            await app.handle().predict.remote(1)


async def test_branches_of_a_graph_run_only_when_they_are_taken() -> None:
    with InputNode() as inp:
        value = double.bind(inp)
        output = value.when(lambda number: number > 10, Add.bind(1).to.bind(value), Add.bind(-1).to.bind(value))
    async with serving(DAGDriver.bind(output)) as app:
        assert [await app.handle().predict.remote(number) for number in (6, 5)] == [13, 9]
    assert calls == {"double": 2, "add 1": 1, "add -1": 1}


async def test_a_predicate_may_be_a_condition_a_node_a_deployment_or_async() -> None:
    async def is_odd(number: int) -> bool:
        await asyncio.sleep(0)
        return number % 2 == 1

    @serve.deployment
    class Small:
        def __call__(self, number: int) -> bool:
            return number < 3

    with InputNode() as inp:
        value = inp.when(Condition("", "Gt", ["100"]), double)
        value = value.when(is_odd, Add.bind(1)).when(Small.bind(), Add.bind(10))
        output = value.when(listed.bind(inp), double)
    async with serving(DAGDriver.bind(output)) as app:
        assert [await app.handle().predict.remote(number) for number in (200, 1, 4)] == [800, 24, 8]


async def test_calls_that_do_not_need_each_other_run_at_the_same_time() -> None:
    together = asyncio.Barrier(3)

    @serve.deployment
    class Meets:
        async def __call__(self, value: int) -> int:
            async with asyncio.timeout(5):
                await together.wait()
            return value

    async with serving(Number.bind().fan_out(*(_local(Meets, together) for _ in range(3)))) as app, app.client() as web:
        assert (await web.post("/", json={"data": 7})).json() == [7, 7, 7]


def _local(deployment: Any, barrier: asyncio.Barrier) -> Any:
    """Return a function deployment; it is pickled by reference to what this process has."""
    _barriers.append(barrier)
    return meet


_barriers: list[asyncio.Barrier] = []


@serve.deployment
async def meet(value: int) -> int:
    async with asyncio.timeout(5):
        await _barriers[-1].wait()
    return value


async def test_fan_out_by_name_and_join() -> None:
    app_ = Number.bind().fan_out(low=Add.bind(1), high=Add.bind(100)).then(sorted_items)
    async with serving(app_) as app, app.client() as web:
        assert (await web.post("/", json={"data": 7})).json() == [["high", 107], ["low", 8]]


def sorted_items(results: dict[str, int]) -> list[Any]:
    return sorted(results.items())


async def test_when_after_an_application_over_http_and_by_handle() -> None:
    app_ = (
        Number.bind()
        .when(lambda number: number > 3, Add.bind(1).then(double), double)
        .when(Condition("", "Gt", ["99"]), repr)
    )
    async with serving(app_) as app, app.client() as web:
        assert [(await web.post("/", json={"data": n})).text for n in (4, 3, 60)] == ["10", "6", "122"]
        assert await app.handle().remote({"data": 4}) == 10


async def test_split_takes_each_branch_as_often_as_its_weight_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "_chance", Random(7))
    async with serving(Number.bind().split((Add.bind(1), 3), (Add.bind(2), 1), (Add.bind(3), 0))) as app:
        found = Counter([await app.handle().remote({"data": 0}) for _ in range(200)])
    assert found.keys() == {1, 2}
    assert 120 < found[1] < 180


_started: list[asyncio.Event] = []
_gone: list[asyncio.Event] = []
_ended: list[str] = []


@serve.deployment
async def hangs(value: int) -> int:
    _started[-1].set()
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        _ended.append("cancelled")
        _gone[-1].set()
        raise
    return value


@serve.deployment
async def fails(value: int) -> int:
    await _started[-1].wait()
    raise LookupError("no weights")


async def test_the_first_failure_ends_the_others() -> None:
    _started.append(asyncio.Event())
    _gone.append(asyncio.Event())
    _ended.clear()
    async with serving(Number.bind().fan_out(hangs, fails)) as app:
        with pytest.raises(LookupError, match="no weights"):
            await app.handle().remote({"data": 1})
    assert _ended == ["cancelled"]


async def test_cancelling_a_request_ends_all_of_its_calls() -> None:
    _started.append(asyncio.Event())
    _gone.append(asyncio.Event())
    _ended.clear()
    with InputNode() as inp:
        driver = DAGDriver.bind(listed.bind(double.bind(inp), hangs.bind(inp)))
    async with serving(driver) as app:
        response = app.handle().predict.remote(1)
        await _started[-1].wait()
        response.cancel()
        async with asyncio.timeout(5):
            await _gone[-1].wait()
    assert _ended == ["cancelled"]


async def test_a_switch_without_a_branch_for_the_value_refuses_the_request() -> None:
    from remora.graph.stage import Case, Switch

    chosen = Switch((Case(Condition("", "In", ["1"]), double.alone),), None, "sizes")
    async with serving(Number.bind().then(chosen)) as app, app.client() as web:
        assert (await web.post("/", json={"data": 1})).json() == 2
        answer = await web.post("/", json={"data": 2})
        assert answer.status_code == 400
        assert "the switch 'sizes' has no case for this request" in answer.text


async def test_a_generator_in_the_middle_is_refused_with_both_names(caplog: pytest.LogCaptureFixture) -> None:
    @serve.deployment
    class Yields:
        def __call__(self, request: Any) -> Any:
            yield 1

    async with serving(Yields.bind().then(double)) as app, app.client() as web:
        assert (await web.get("/")).status_code == 500
    assert "deployment 'Yields' returned a generator, and the stage 'double' after it needs a value" in caplog.text


async def test_a_driver_of_ones_own_gets_the_graph_as_something_to_call() -> None:
    @serve.deployment
    class Own:
        def __init__(self, graph: Any, handle: DeploymentHandle) -> None:
            self.graph, self.handle = graph, handle

        async def __call__(self, request: Any) -> Any:
            return await self.graph.remote(await self.handle.to.remote(request.json()["n"]))

    with InputNode() as inp:
        own = Own.bind(double.bind(inp), Add.bind(1))
    async with serving(own) as app, app.client() as web:
        assert (await web.post("/", json={"n": 4})).json() == 10


# ── DAGDriver over HTTP ──────────────────────────────────────────────────────────────────────────────────────────


async def test_a_driver_with_several_routes_and_an_adapter() -> None:
    with InputNode() as inp:
        driver = DAGDriver.bind(
            {"/double": double.bind(inp["n"]), "/add": Add.bind(5).to.bind(inp.n)}, http_adapter=json_request
        )
    async with serving(driver) as app, app.client() as web:
        assert (await web.post("/double", json={"n": 4})).json() == 8
        assert (await web.post("/add", json={"n": 4})).json() == 9
        assert (await web.post("/other", json={"n": 4})).status_code == 404
        assert (await web.post("/add", json={"m": 4})).status_code == 400
        assert (await web.post("/add", content=b"{")).status_code == 400
        assert set((await web.get("/openapi.json")).json()["paths"]) == {"/double", "/add"}


async def test_one_graph_answers_every_path_in_json() -> None:
    with InputNode() as inp:
        driver = DAGDriver.bind(listed.bind(inp), http_adapter="ray.serve.http_adapters.json_request")
    from remora.compat import alias

    alias.install()
    async with serving(driver) as app, app.client() as web:
        assert (await web.post("/", json="x")).json() == ["x"]
        assert (await web.post("/any/path", json=[1])).json() == [[1]]


def spelt_adapter(q: int, request: Any = None) -> Any:
    return q


async def old_adapter(request: serve_request) -> Any:
    return request.json()["a"]  # type: ignore[index]  # as it was once


from starlette.requests import Request as serve_request  # noqa: E402 - FastAPI resolves the annotation when it is asked


async def test_an_adapter_of_ones_own_takes_query_parameters_or_the_request_in_either_spelling() -> None:
    with InputNode() as inp:
        by_query = DAGDriver.options(name="Q").bind(double.bind(inp), http_adapter=spelt_adapter)
        by_request = DAGDriver.bind(double.bind(inp), http_adapter=old_adapter)
    async with serving(by_query) as app, app.client() as web:
        assert (await web.get("/", params={"q": "21"})).text == "42"
        assert (await web.get("/")).status_code == 422
    async with serving(by_request) as app, app.client() as web:
        assert (await web.post("/", json={"a": 4})).text == "8"


@serve.deployment
def header(request: Any) -> str:
    return str(request.headers["x-word"] + request.json()["a"])


async def test_without_an_adapter_the_graph_gets_the_request() -> None:
    with InputNode() as inp:
        driver = DAGDriver.bind(header.bind(inp))
    async with serving(driver) as app, app.client() as web:
        assert (await web.post("/", json={"a": "b"}, headers={"x-word": "a"})).text == '"ab"'


@pytest.mark.parametrize(
    ("dags", "message"),
    [(3, "int for '/{path:path}' is no graph"), ({"predict": "x"}, "route 'predict' must be a path")],
)
async def test_what_is_no_graph_is_refused_when_the_driver_starts(dags: Any, message: str) -> None:
    with pytest.raises(Exception, match=message):
        async with serving(DAGDriver.bind(dags)):
            raise AssertionError("it started")
