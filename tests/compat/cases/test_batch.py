"""serve.batch: calls gathered into lists."""

import asyncio
import time

import pytest
from ray import serve


@serve.batch(max_batch_size=3, batch_wait_timeout_s=0.1)
async def halve(xs):
    return [x / 2 for x in xs]


@serve.deployment(max_ongoing_requests=100)
class Batched:
    def __init__(self):
        self.sizes = []

    @serve.batch(max_batch_size=4, batch_wait_timeout_s=0.3)
    async def double(self, xs: list[int]) -> list[int]:
        self.sizes.append(len(xs))
        return [2 * x for x in xs]

    @serve.batch(max_batch_size=3, batch_wait_timeout_s=0.2)
    async def sum_of(self, xs: list[int], ys: list[int]) -> list[int]:
        return [x + y for x, y in zip(xs, ys, strict=True)]

    @serve.batch(max_batch_size=3, batch_wait_timeout_s=0.2)
    async def no_list(self, xs):
        return len(xs)

    @serve.batch(max_batch_size=3, batch_wait_timeout_s=0.2)
    async def too_few(self, xs):
        return xs[1:]

    @serve.batch(max_batch_size=2, batch_wait_timeout_s=0.2)
    async def fails(self, xs):
        raise ValueError("no such batch")

    @serve.batch(max_batch_size=3, batch_wait_timeout_s=0.2)
    async def stream(self, ns: list[int]):
        for i in range(max(ns)):
            yield [i if i < n else StopIteration for n in ns]

    @serve.batch(max_batch_size=10, batch_wait_timeout_s=0.3, batch_size_fn=lambda items: sum(map(len, items)))
    async def by_weight(self, items):
        return [len(items)] * len(items)

    @serve.batch(max_batch_size=8, batch_wait_timeout_s=0.3)
    async def by_model(self, xs):
        return [(serve.get_multiplexed_model_id(), len(xs))] * len(xs)

    @serve.batch
    async def plain(self, xs):
        return [x + 1 for x in xs]

    async def __call__(self, request):
        return await self.double(int(request.query_params["x"]))

    async def call(self, name, *args):
        return await getattr(self, name)(*args)

    async def of_function(self, x):
        return await halve(x)

    async def one_is_cancelled(self):
        first = asyncio.ensure_future(self.double(1))
        await asyncio.sleep(0.05)
        first.cancel()
        return await asyncio.wait_for(self.double(2), 5)

    async def streamed(self, n):
        async for item in self.stream(n):
            yield item

    async def reset(self):
        sizes, self.sizes = self.sizes, []
        return sizes

    async def tune(self, size, wait_s):
        self.double.set_max_batch_size(size)
        self.double.set_batch_wait_timeout_s(wait_s)


@pytest.fixture(scope="module")
def served(share):
    return share(Batched.bind(), "batch")


@pytest.fixture
def batched(served):
    served.reset.remote().result()
    return served


def together(handle, name, arguments):
    responses = [handle.call.remote(name, *given) for given in arguments]
    return [response.result(timeout_s=20) for response in responses]


def test_calls_are_gathered_into_one_list(batched):
    assert together(batched, "double", [(x,) for x in range(4)]) == [0, 2, 4, 6]
    sizes = batched.reset.remote().result()
    assert sum(sizes) == 4
    assert len(sizes) < 4


def test_no_batch_is_bigger_than_allowed(batched):
    assert together(batched, "double", [(x,) for x in range(10)]) == [2 * x for x in range(10)]
    assert max(batched.reset.remote().result()) <= 4


def test_a_lonely_call_waits_no_longer_than_the_timeout(batched):
    began = time.monotonic()
    assert batched.call.remote("double", 5).result(timeout_s=20) == 10
    assert time.monotonic() - began < 3
    assert batched.reset.remote().result() == [1]


def test_several_arguments_are_several_lists(batched):
    assert together(batched, "sum_of", [(1, 10), (2, 20), (3, 30)]) == [11, 22, 33]


def test_a_batch_without_options(batched):
    assert together(batched, "plain", [(1,), (2,)]) == [2, 3]


def test_a_failing_batch_fails_all_of_its_calls(batched):
    responses = [batched.call.remote("fails", x) for x in range(2)]
    for response in responses:
        with pytest.raises(ValueError, match="no such batch"):
            response.result(timeout_s=20)


def test_results_must_be_as_many_as_calls(batched):
    with pytest.raises(Exception, match=r"(?i)length|size|number|many"):
        batched.call.remote("too_few", 1).result(timeout_s=20)


def test_a_batch_that_is_no_list_is_a_type_error(batched):
    with pytest.raises(TypeError):
        batched.call.remote("no_list", 1).result(timeout_s=20)


def test_streams_are_batched(batched):
    streams = [batched.options(stream=True).streamed.remote(n) for n in (1, 3)]
    assert [list(stream) for stream in streams] == [[0], [0, 1, 2]]


def test_batches_by_weight(batched):
    assert together(batched, "by_weight", [("xxxxxx",), ("yyyyyy",)]) == [1, 1]


def test_a_batch_has_one_model_only(batched):
    calls = [batched.options(multiplexed_model_id=model).call.remote("by_model", 0) for model in "abab"]
    found = [call.result(timeout_s=20) for call in calls]
    assert [model for model, _ in found] == list("abab")
    assert all(size <= 2 for _, size in found)


def test_size_and_wait_are_set_while_it_runs(batched):
    batched.tune.remote(2, 0.1).result()
    try:
        together(batched, "double", [(x,) for x in range(6)])
        assert max(batched.reset.remote().result()) <= 2
    finally:
        batched.tune.remote(4, 0.3).result()


def test_http_requests_are_batched(batched, http):
    import concurrent.futures

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda x: http.get("/batch/", params={"x": x}).json(), range(4)))
    assert answers == [0, 2, 4, 6]
    assert len(batched.reset.remote().result()) < 4


def test_a_batched_function_that_is_no_method(batched):
    assert together(batched, "of_function", [(2,), (4,), (6,)]) == [1, 2, 3]


def test_a_cancelled_call_leaves_the_others(batched):
    assert batched.one_is_cancelled.remote().result(timeout_s=20) == 4


def test_a_batched_function_must_be_async():
    with pytest.raises(TypeError, match="async"):

        @serve.batch
        def plain(xs):
            return xs


def test_batch_options_are_checked():
    for wrong, kind in (
        ({"max_batch_size": 0}, ValueError),
        ({"max_batch_size": "4"}, TypeError),
        ({"batch_wait_timeout_s": -1}, ValueError),
        ({"batch_wait_timeout_s": "1"}, TypeError),
        ({"max_concurrent_batches": 0}, TypeError),
    ):
        with pytest.raises(kind, match=next(iter(wrong))):
            serve.batch(**wrong)
