"""`serve.multiplexed`: which models stay, who loads them, and what others are told."""

from __future__ import annotations

import asyncio
import gc
import pickle
from collections.abc import Iterator
from typing import Any, ClassVar

import cloudpickle
import pytest

from remora import serve
from remora.multiplexing import unload_all
from remora.multiplexing.holdings import HOLDINGS
from remora.multiplexing.recency import Recency
from tests.unit.serving import serving


class Model:
    gone: ClassVar[list[str]] = []

    def __init__(self, model_id: str) -> None:
        self.model_id = model_id

    def __del__(self) -> None:
        self.gone.append(self.model_id)


class AsyncModel(Model):
    async def __del__(self) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        self.gone.append(f"{self.model_id} in its time")


class Holder:
    def __init__(self, kind: type[Model] = Model) -> None:
        self.kind = kind
        self.loads: list[str] = []

    @serve.multiplexed(max_num_models_per_replica=2)
    async def load(self, model_id: str) -> Model:
        self.loads.append(model_id)
        await asyncio.sleep(0)
        if model_id == "bad":
            raise LookupError(model_id)
        return self.kind(model_id)


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    gc.collect()
    Model.gone.clear()
    yield
    HOLDINGS.listen(None)
    asyncio.run(unload_all())
    gc.collect()
    assert HOLDINGS.ids == ()


def test_the_least_recently_used_has_to_go_when_there_is_no_room() -> None:
    recency = Recency(2)
    assert recency.surplus() is None
    recency.add("a", 1)
    recency.add("b", 2)
    assert recency.use("a") == 1
    assert recency.surplus() == ("b", 2)
    assert recency.surplus() is None
    assert recency.ids == ("a",)


def test_without_a_limit_nothing_has_to_go() -> None:
    recency = Recency(-1)
    for number in range(100):
        assert recency.surplus() is None
        recency.add(str(number), number)
    assert recency.drop() == ("0", 0)


async def test_a_model_is_loaded_once_and_the_eldest_goes_with_its_del() -> None:
    holder = Holder()
    for model_id in ("a", "b", "a", "c", "a"):
        assert (await holder.load(model_id)).model_id == model_id
    assert holder.loads == ["a", "b", "c"]
    assert Model.gone == ["b"]
    await holder.load("b")
    assert Model.gone == ["b", "c"]


async def test_an_async_del_is_awaited_and_runs_once() -> None:
    holder = Holder(AsyncModel)
    for model_id in ("a", "b", "c"):
        await holder.load(model_id)
    gc.collect()
    assert Model.gone == ["a in its time"]


async def test_requests_for_a_model_that_is_being_loaded_wait_for_it() -> None:
    holder = Holder()
    models = await asyncio.gather(*(holder.load("a") for _ in range(5)))
    assert holder.loads == ["a"]
    assert len({id(model) for model in models}) == 1


async def test_loading_goes_on_when_who_asked_first_gives_up() -> None:
    holder = Holder()
    first = asyncio.create_task(holder.load("a"))
    await asyncio.sleep(0)
    first.cancel()
    assert (await holder.load("a")).model_id == "a"
    assert holder.loads == ["a"]


async def test_what_loading_raises_is_raised_and_the_next_request_tries_again() -> None:
    holder = Holder()
    for _ in range(2):
        with pytest.raises(LookupError, match="bad"):
            await holder.load("bad")
    assert holder.loads == ["bad", "bad"]
    assert HOLDINGS.ids == ()


async def test_instances_hold_models_of_their_own() -> None:
    one, other = Holder(), Holder()
    assert await one.load("a") is not await other.load("a")


async def test_others_are_told_what_is_held_or_being_loaded() -> None:
    told: list[tuple[str, ...]] = []
    HOLDINGS.listen(told.append)
    holder = Holder()
    loading = asyncio.create_task(holder.load("b"))
    await asyncio.sleep(0)
    assert told == [("b",)]
    await loading
    await holder.load("a")
    await holder.load("c")
    assert told[-1] == ("a", "c")
    late: list[tuple[str, ...]] = []
    HOLDINGS.listen(late.append)
    assert late == [("a", "c")]
    await unload_all()
    assert late[-1] == ()


@pytest.mark.parametrize(
    ("given", "error"), [((), TypeError), (("a", "b"), TypeError), ((3,), TypeError), (("",), ValueError)]
)
async def test_a_model_id_is_one_string(given: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="model"):
        await Holder().load(*given)


def test_what_cannot_be_multiplexed_is_refused() -> None:
    with pytest.raises(TypeError, match="only decorate async functions"):
        serve.multiplexed(lambda model_id: model_id)
    with pytest.raises(TypeError, match="must be an integer"):
        serve.multiplexed(max_num_models_per_replica="3")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be positive"):
        serve.multiplexed(max_num_models_per_replica=0)
    with pytest.raises(TypeError, match="must take one argument"):

        @serve.multiplexed
        async def load(a: str, b: str, c: str) -> None: ...


async def test_multiplexed_functions_travel_by_value() -> None:
    @serve.multiplexed
    async def load(model_id: str) -> str:
        return model_id.upper()

    await load("a")
    assert await pickle.loads(cloudpickle.dumps(load))("b") == "B"


async def test_a_deployment_serves_the_model_that_the_request_names() -> None:
    @serve.deployment
    class Multiplexed:
        @serve.multiplexed
        async def model(self, model_id: str) -> str:
            return f"model {model_id}"

        async def __call__(self, request: Any = None) -> Any:
            return await self.model(serve.get_multiplexed_model_id())

    async with serving(Multiplexed.bind()) as app, app.client() as client:
        assert await app.handle().options(multiplexed_model_id="x").remote() == "model x"
        assert (await client.get("/", headers={"serve_multiplexed_model_id": "y"})).text == "model y"
        assert (await client.get("/", headers={"serve-multiplexed-model-id": "z"})).text == "model z"
        with pytest.raises(ValueError, match="names no model"):
            await app.handle().remote()
    assert HOLDINGS.ids == ()
