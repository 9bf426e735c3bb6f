"""`serve.batch`: who shares a batch, what each caller gets, and what goes wrong."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator
from typing import Any

import cloudpickle
import pytest

from remora import serve
from remora.errors import RemoraError
from remora.handle import context as request_context
from remora.handle.context import RequestContext
from tests.unit.serving import serving

LONG_S = 30.0
"""Nobody waits as long: only a full batch starts."""


class Model:
    def __init__(self) -> None:
        self.batches: list[list[Any]] = []

    @serve.batch(max_batch_size=3, batch_wait_timeout_s=LONG_S)
    async def double(self, numbers: list[int]) -> list[int]:
        self.batches.append(list(numbers))
        return [number * 2 for number in numbers]


async def test_a_full_batch_starts_at_once_and_each_caller_gets_its_result() -> None:
    model = Model()
    assert await asyncio.gather(*(model.double(n) for n in range(6))) == [0, 2, 4, 6, 8, 10]
    assert model.batches == [[0, 1, 2], [3, 4, 5]]


async def test_an_incomplete_batch_starts_after_its_time() -> None:
    @serve.batch(max_batch_size=100, batch_wait_timeout_s=0.01)
    async def count(items: list[str]) -> list[int]:
        return [len(items)] * len(items)

    assert list(await asyncio.gather(count("a"), count("b"))) == [2, 2]


async def test_calls_of_one_turn_share_a_batch_even_without_waiting() -> None:
    @serve.batch(batch_wait_timeout_s=0)
    async def count(items: list[str]) -> list[int]:
        return [len(items)] * len(items)

    assert list(await asyncio.gather(count("a"), count("b"), count("c"))) == [3, 3, 3]


async def test_several_parameters_by_position_or_name_come_as_lists() -> None:
    @serve.batch(max_batch_size=2, batch_wait_timeout_s=LONG_S)
    async def join(a: list[str], b: list[str], sep: str = "-") -> list[str]:
        assert sep == "-"
        return [f"{x}{sep}{y}" for x, y in zip(a, b, strict=True)]

    assert list(await asyncio.gather(join("a", "b"), join(b="d", a="c"))) == ["a-b", "c-d"]


async def test_instances_do_not_share_batches() -> None:
    first, second = Model(), Model()
    assert await asyncio.gather(*(m.double(n) for n in range(3) for m in (first, second))) == [0, 0, 2, 2, 4, 4]
    assert first.batches == second.batches == [[0, 1, 2]]


async def test_so_many_batches_run_at_a_time_and_the_next_one_gathers_meanwhile() -> None:
    sizes: list[int] = []
    go = asyncio.Event()

    @serve.batch(max_batch_size=4, batch_wait_timeout_s=0, max_concurrent_batches=2)
    async def slow(items: list[int]) -> list[int]:
        sizes.append(len(items))
        await go.wait()
        return items

    waiting = []
    for number in range(6):
        waiting.append(asyncio.create_task(slow(number)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert sizes == [1, 1]
    go.set()
    assert await asyncio.gather(*waiting) == list(range(6))
    assert sizes == [1, 1, 4]


async def test_batches_of_different_models_are_different_batches() -> None:
    seen: dict[str, list[int]] = {}

    @serve.batch(max_batch_size=2, batch_wait_timeout_s=LONG_S, max_concurrent_batches=2)
    async def predict(numbers: list[int]) -> list[str]:
        seen[serve.get_multiplexed_model_id()] = list(numbers)
        return [serve.get_multiplexed_model_id()] * len(numbers)

    async def ask(model: str, number: int) -> Any:
        request_context.enter(RequestContext(multiplexed_model_id=model))
        return await predict(number)

    answers = await asyncio.gather(*(asyncio.create_task(ask(m, n)) for n in range(2) for m in ("x", "y")))
    assert answers == ["x", "y", "x", "y"]
    assert seen == {"x": [0, 1], "y": [0, 1]}


async def test_the_setters_change_batches_that_wait_already() -> None:
    model = Model()
    calls = [asyncio.create_task(model.double(n)) for n in range(2)]
    await asyncio.sleep(0)
    try:
        model.double.set_max_batch_size(2)
        assert await asyncio.gather(*calls) == [0, 2]
        call = asyncio.create_task(model.double(5))
        await asyncio.sleep(0)
        model.double.set_batch_wait_timeout_s(0)
        assert await call == 10
    finally:
        model.double.set_max_batch_size(3)
        model.double.set_batch_wait_timeout_s(LONG_S)
    assert model.batches == [[0, 1], [5]]


async def test_every_caller_of_a_batch_that_raises_is_told() -> None:
    @serve.batch(max_batch_size=2, batch_wait_timeout_s=LONG_S)
    async def fail(items: list[int]) -> list[int]:
        raise ValueError("no")

    answers = await asyncio.gather(fail(1), fail(2), return_exceptions=True)
    assert [repr(answer) for answer in answers] == ["ValueError('no')"] * 2


@pytest.mark.parametrize(
    ("value", "says"), [([1], "doesn't preserve batch size"), (7, "returned int, and must return")]
)
async def test_another_number_of_results_is_an_error(value: Any, says: str) -> None:
    @serve.batch(max_batch_size=2, batch_wait_timeout_s=LONG_S)
    async def short(items: list[int]) -> Any:
        return value

    for answer in await asyncio.gather(short(1), short(2), return_exceptions=True):
        assert isinstance(answer, RemoraError)
        assert says in str(answer)


async def test_a_caller_that_gave_up_is_not_in_the_batch() -> None:
    model = Model()
    gone = asyncio.create_task(model.double(0))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait([gone])
    assert await asyncio.gather(*(model.double(n) for n in (1, 2, 3))) == [2, 4, 6]
    assert model.batches == [[1, 2, 3]]


async def test_a_caller_that_gives_up_while_the_batch_runs_harms_nobody() -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    @serve.batch(max_batch_size=2, batch_wait_timeout_s=LONG_S)
    async def slow(items: list[int]) -> list[int]:
        begun.set()
        await go.wait()
        return items

    calls = [asyncio.create_task(slow(n)) for n in (1, 2)]
    await begun.wait()
    calls[0].cancel()
    go.set()
    assert await calls[1] == 2


async def test_sizes_are_measured_by_the_function_given() -> None:
    batches: list[list[str]] = []

    @serve.batch(max_batch_size=4, batch_wait_timeout_s=0, batch_size_fn=lambda words: sum(map(len, words)))
    async def upper(words: list[str]) -> list[str]:
        batches.append(list(words))
        return [word.upper() for word in words]

    words = ["aaa", "bb", "cc"]
    assert await asyncio.gather(*map(upper, words)) == ["AAA", "BB", "CC"]
    assert batches == [["aaa"], ["bb", "cc"]]
    with pytest.raises(RuntimeError, match=r"is greater than max_batch_size"):
        await upper("aaaaa")


async def test_each_caller_iterates_over_its_part_of_what_a_generator_yields() -> None:
    @serve.batch(max_batch_size=3, batch_wait_timeout_s=LONG_S)
    async def count_to(limits: list[int]) -> AsyncIterator[list[Any]]:
        for number in range(max(limits)):
            yield [number if number < limit else StopIteration for limit in limits]

    async def read(limit: int) -> list[int]:
        return [number async for number in count_to(limit)]

    assert list(await asyncio.gather(read(1), read(3), read(0))) == [[0], [0, 1, 2], []]


async def test_a_generator_that_raises_ends_every_iteration_with_it() -> None:
    @serve.batch(max_batch_size=2, batch_wait_timeout_s=LONG_S)
    async def fail(items: list[int]) -> AsyncIterator[list[int]]:
        yield items
        raise KeyError("later")

    async def read(item: int) -> list[Any]:
        found: list[Any] = []
        try:
            async for value in fail(item):
                found.append(value)
        except KeyError as error:
            found.append(str(error))
        return found

    assert list(await asyncio.gather(read(1), read(2))) == [[1, "'later'"], [2, "'later'"]]


async def test_a_generator_ends_when_nobody_reads_it_any_more() -> None:
    ended = asyncio.Event()

    @serve.batch(max_batch_size=1)
    async def endless(items: list[int]) -> AsyncIterator[list[int]]:
        try:
            while True:
                yield items
                await asyncio.sleep(0)
        finally:
            ended.set()

    reading = endless(1)
    assert await anext(reading) == 1
    await reading.aclose()
    await ended.wait()


async def test_functions_with_other_parameters_are_refused_by_the_call() -> None:
    model = Model()
    with pytest.raises(TypeError, match="too many positional arguments"):
        await model.double(1, 2)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_batch_size": 0}, ValueError),
        ({"max_batch_size": "3"}, TypeError),
        ({"max_batch_size": 1.5}, TypeError),
        ({"batch_wait_timeout_s": -1}, ValueError),
        ({"batch_wait_timeout_s": "1"}, TypeError),
        ({"max_concurrent_batches": 0}, TypeError),
        ({"batch_size_fn": 3}, TypeError),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(options))):
        serve.batch(**options)


def test_what_is_not_async_is_refused() -> None:
    with pytest.raises(TypeError, match="must be 'async def'"):
        serve.batch(lambda items: items)
    with pytest.raises(TypeError, match="takes a function or method, not int"):
        serve.batch(3)  # type: ignore[arg-type]


async def test_batched_functions_travel_by_value() -> None:
    @serve.batch(max_batch_size=2, batch_wait_timeout_s=LONG_S)
    async def same(items: list[int]) -> list[int]:
        return items

    same.set_max_batch_size(1)
    copy = pickle.loads(cloudpickle.dumps(same))
    assert await copy(7) == 7


async def test_a_deployment_batches_the_calls_of_its_handle() -> None:
    @serve.deployment(max_ongoing_requests=10)
    class Batched:
        @serve.batch(max_batch_size=3, batch_wait_timeout_s=LONG_S)
        async def __call__(self, numbers: list[int]) -> list[tuple[int, int]]:
            return [(number, len(numbers)) for number in numbers]

        @serve.batch(max_batch_size=2, batch_wait_timeout_s=LONG_S)
        async def repeat(self, words: list[str]) -> AsyncIterator[list[str]]:
            yield words
            yield words

    async with serving(Batched.bind()) as app:
        assert await asyncio.gather(*(app.handle().remote(n) for n in range(3))) == [(0, 3), (1, 3), (2, 3)]
        streams = [app.handle().options(stream=True).repeat.remote(word) for word in "ab"]

        async def read(stream: Any) -> list[str]:
            return [item async for item in stream]

        assert await asyncio.gather(*map(read, streams)) == [["a", "a"], ["b", "b"]]
