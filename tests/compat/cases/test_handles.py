"""Handles and responses: calling other deployments from a program and from a replica."""

import asyncio
import threading
import time
from array import array as Array

import pytest
from ray import serve
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle, DeploymentResponse, DeploymentResponseGenerator


@serve.deployment(max_ongoing_requests=20)
class Adder:
    def __init__(self, increment: int = 1):
        self.increment = increment
        self.begun = self.cancelled = 0

    def __call__(self, x: int = 0) -> int:
        return x + self.increment

    def plus(self, x, y=0, *rest, times=1):
        return (x + y + sum(rest)) * times

    async def later(self, x, after_s=0.2):
        await asyncio.sleep(after_s)
        return x

    async def forever(self):
        self.begun += 1
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    def cancellations(self):
        return self.cancelled

    def beginnings(self):
        return self.begun

    def thread(self):
        return threading.current_thread() is threading.main_thread()

    def fails(self, text="bad weights"):
        raise KeyError(text)

    def echo(self, value):
        return value

    def count(self, n):
        yield from range(n)

    async def acount(self, n):
        for i in range(n):
            await asyncio.sleep(0.01)
            yield i

    def count_then_fail(self, n):
        yield from range(n)
        raise ValueError("ran out")

    def model(self):
        return serve.get_multiplexed_model_id()


@serve.deployment
class Front:
    """Calls Adder in every way that a replica may."""

    def __init__(self, adder: DeploymentHandle, adders: dict):
        self.adder = adder
        self.adders = adders

    async def awaited(self, x):
        return await self.adder.remote(x)

    async def gathered(self, n):
        return await asyncio.gather(*[self.adder.remote(i) for i in range(n)])

    async def chained(self, x):
        first = self.adder.remote(x)
        second = self.adder.remote(first)
        return await self.adder.plus.remote(second, y=first, times=2)

    async def chained_in_every_position(self):
        one, two, three = (self.adder.remote(i) for i in range(3))
        return await self.adder.plus.remote(one, two, three, times=self.adder.remote(1))

    async def streamed(self, n):
        return [item async for item in self.adder.options(stream=True).acount.remote(n)]

    async def by_attribute_stream(self, n):
        return [item async for item in self.adder.count.options(stream=True).remote(n)]

    async def from_the_dict(self, key, x):
        return await self.adders[key][0].remote(x)

    async def caught(self):
        try:
            await self.adder.fails.remote("inner")
        except KeyError as error:
            return "caught" if "inner" in str(error) else str(error)

    async def timed_out(self):
        response = self.adder.forever.remote()
        try:
            await asyncio.wait_for(response, 0.5)
        except TimeoutError:
            response.cancel()
            return "timed out"

    def blocking(self, x):
        return self.adder.remote(x).result()

    async def kind(self):
        return isinstance(self.adder, DeploymentHandle), self.adder.deployment_name, self.adder.app_name


@pytest.fixture(scope="module")
def front(share):
    adder = Adder.bind(1)
    named = {"ten": [Adder.options(name="Ten").bind(10)], "hundred": (Adder.options(name="Hundred").bind(100),)}
    return share(Front.bind(adder, named), "handles")


@pytest.fixture
def adder(front):
    return serve.get_deployment_handle("Adder", "handles")


def until(holds, timeout_s=15):
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def test_result_waits_for_the_value(adder):
    response = adder.remote(4)
    assert isinstance(response, DeploymentResponse)
    assert response.result(timeout_s=20) == 5


def test_result_may_be_asked_for_twice(adder):
    response = adder.remote(4)
    assert (response.result(), response.result()) == (5, 5)


def test_arguments_travel_by_position_and_by_name(adder):
    assert adder.plus.remote(1, 2, 3, times=4).result() == 24


def test_defaults_are_the_methods_own(adder):
    assert adder.remote().result() == 1


def test_a_method_by_attribute_and_by_option(adder):
    assert adder.plus.remote(1, 1).result() == 2
    assert adder.options(method_name="plus").remote(1, 1).result() == 2


def test_options_leave_the_handle_as_it_was(adder):
    other = adder.options(method_name="plus")
    assert adder.remote(1).result() == 2
    assert other.remote(1).result() == 1


def test_an_unknown_option_is_a_type_error(adder):
    with pytest.raises(TypeError):
        adder.options(colour="red")


def test_result_gives_up_after_its_timeout(adder):
    response = adder.later.remote(3, after_s=3)
    with pytest.raises(TimeoutError):
        response.result(timeout_s=0.1)
    assert response.result(timeout_s=20) == 3


def test_an_exception_arrives_with_its_type_and_message(adder):
    with pytest.raises(KeyError, match="bad weights"):
        adder.fails.remote().result()


def test_after_an_exception_the_replica_goes_on(adder):
    with pytest.raises(KeyError):
        adder.fails.remote().result()
    assert adder.remote(1).result() == 2


def test_an_unknown_method_is_an_error_that_names_it(adder):
    with pytest.raises(RayServeException, match="no_such_method"):
        adder.no_such_method.remote().result(timeout_s=20)


def test_a_wrong_number_of_arguments_is_a_type_error(adder):
    with pytest.raises(TypeError):
        adder.remote(1, 2, 3).result(timeout_s=20)


def test_big_and_odd_values_travel(adder):
    big = b"x" * 3_000_000
    for value in (big, {"a": {1, 2}}, (None, ...), [float("inf")], "grün", range(3)):
        assert adder.echo.remote(value).result() == value


def test_arrays_travel(adder):
    array = Array("f", range(400_000))
    assert adder.echo.remote(array).result() == array


def test_functions_travel(adder):
    offset = 4
    assert adder.echo.remote(lambda x: x + offset).result()(1) == 5


def test_a_response_is_cancelled(adder):
    before = adder.cancellations.remote().result()
    begun = adder.beginnings.remote().result()
    response = adder.forever.remote()
    until(lambda: adder.beginnings.remote().result() == begun + 1)
    response.cancel()
    with pytest.raises(Exception):
        response.result(timeout_s=20)
    until(lambda: adder.cancellations.remote().result() == before + 1)
    assert response.cancelled()


def test_a_cancelled_response_raises_request_cancelled(adder):
    from ray.serve.exceptions import RequestCancelledError

    begun = adder.beginnings.remote().result()
    response = adder.forever.remote()
    until(lambda: adder.beginnings.remote().result() == begun + 1)
    response.cancel()
    with pytest.raises(RequestCancelledError):
        response.result(timeout_s=20)


def test_cancelling_a_finished_response_keeps_its_value(adder):
    response = adder.remote(1)
    assert response.result() == 2
    response.cancel()
    assert response.result() == 2


def test_a_response_awaits_in_the_callers_loop(adder):
    async def main():
        return await adder.remote(1), await asyncio.gather(adder.remote(2), adder.remote(3))

    assert asyncio.run(main()) == (2, [3, 4])


def test_a_response_has_a_request_id(adder):
    first, second = adder.remote(1), adder.remote(1)
    assert first.request_id
    assert first.request_id != second.request_id
    assert (first.result(), second.result()) == (2, 2)


def test_a_generator_streams(adder):
    stream = adder.options(stream=True).count.remote(4)
    assert isinstance(stream, DeploymentResponseGenerator)
    assert list(stream) == [0, 1, 2, 3]


def test_an_async_generator_streams(adder):
    assert list(adder.options(stream=True, method_name="acount").remote(3)) == [0, 1, 2]


def test_a_stream_is_iterated_in_async_code(adder):
    async def main():
        return [item async for item in adder.acount.options(stream=True).remote(3)]

    assert asyncio.run(main()) == [0, 1, 2]


def test_an_empty_stream_ends_at_once(adder):
    assert list(adder.options(stream=True).count.remote(0)) == []


def test_a_stream_that_fails_gives_what_came_before(adder):
    stream = adder.options(stream=True).count_then_fail.remote(2)
    assert [next(stream), next(stream)] == [0, 1]
    with pytest.raises(ValueError, match="ran out"):
        next(stream)


def test_a_generator_without_stream_is_refused(adder):
    with pytest.raises(Exception, match="stream"):
        adder.count.remote(3).result(timeout_s=20)


def test_stream_of_no_generator_is_refused(adder):
    with pytest.raises(Exception):
        list(adder.options(stream=True).remote(3))


def test_a_stream_cannot_be_an_argument(adder):
    with pytest.raises(Exception):
        adder.echo.remote(adder.options(stream=True).count.remote(3)).result(timeout_s=20)


def test_the_model_id_reaches_the_replica(adder):
    assert adder.options(multiplexed_model_id="m1").model.remote().result() == "m1"
    assert adder.model.remote().result() == ""


def test_a_session_id_is_accepted(adder):
    assert adder.options(session_id="s1").remote(1).result() == 2


def test_a_response_passes_into_the_next_call(adder):
    assert adder.remote(adder.remote(adder.remote(0))).result() == 3


def test_a_failed_response_fails_the_call_that_it_was_passed_to(adder):
    with pytest.raises(KeyError, match="bad weights"):
        adder.remote(adder.fails.remote()).result(timeout_s=20)


def test_an_argument_that_cannot_be_pickled_is_an_error(adder):
    with pytest.raises(Exception, match=r"(?i)pickle|serializ"):
        adder.echo.remote(threading.Lock()).result(timeout_s=20)
    assert adder.remote(1).result() == 2


def test_a_result_that_cannot_be_pickled_is_an_error(adder, front):
    with pytest.raises(Exception, match=r"(?i)pickle|serializ"):
        adder.echo.remote(Trap()).result(timeout_s=20)
    assert adder.remote(1).result() == 2


class Trap:
    """Pickles once: on the way there, and not on the way back."""

    def __init__(self, locked=False):
        self.lock = threading.Lock() if locked else None

    def __reduce__(self):
        if self.lock is not None:
            raise TypeError("cannot pickle this lock")
        return Trap, (True,)


def test_handles_inside_replicas(front):
    assert front.awaited.remote(1).result() == 2
    assert front.gathered.remote(5).result() == [1, 2, 3, 4, 5]
    assert front.blocking.remote(1).result() == 2


def test_responses_pass_between_replicas_without_awaiting(front):
    assert front.chained.remote(1).result() == 10


def test_responses_pass_in_every_position(front):
    assert front.chained_in_every_position.remote().result() == 12


def test_streams_inside_replicas(front):
    assert front.streamed.remote(3).result() == [0, 1, 2]
    assert front.by_attribute_stream.remote(2).result() == [0, 1]


def test_bound_applications_in_dicts_and_lists_arrive_as_handles(front):
    assert front.from_the_dict.remote("ten", 1).result() == 11
    assert front.from_the_dict.remote("hundred", 1).result() == 101


def test_exceptions_cross_two_replicas(front):
    assert front.caught.remote().result() == "caught"


def test_a_replica_may_give_up_waiting_and_cancel(front, adder):
    before = adder.cancellations.remote().result()
    assert front.timed_out.remote().result() == "timed out"
    until(lambda: adder.cancellations.remote().result() == before + 1)


def test_a_handle_knows_its_deployment_and_application(front):
    assert front.kind.remote().result() == (True, "Adder", "handles")


def test_a_handle_of_the_application_is_its_ingress(front):
    assert serve.get_app_handle("handles").awaited.remote(2).result() == 3


def test_a_handle_pickles(adder):
    from ray import cloudpickle

    assert cloudpickle.loads(cloudpickle.dumps(adder)).remote(2).result() == 3


def test_a_handle_of_an_unknown_application_is_an_error(front):
    with pytest.raises(Exception, match="nobody"):
        serve.get_app_handle("nobody")


def test_broadcast_reaches_every_replica(run):
    @serve.deployment(num_replicas=2)
    class Two:
        def __init__(self):
            self.value = 0

        def put(self, value):
            self.value = value
            return serve.get_replica_context().replica_tag, value

    handle = run(Two.bind(), name="two", route_prefix="/two")
    answers = handle.broadcast("put", 5).results()
    assert len({tag for tag, _ in answers}) == 2
    assert [value for _, value in answers] == [5, 5]


def test_a_replica_is_chosen_first_and_called_then(run):
    @serve.deployment(num_replicas=2)
    class Two:
        def who(self, x):
            return serve.get_replica_context().replica_tag, x

    handle = run(Two.bind(), name="two", route_prefix="/two")

    async def main():
        method = handle.who
        async with method.choose_replica(1) as chosen:
            tag, x = await method.dispatch(chosen, 1)
            return chosen.replica_id, tag, x

    chosen, tag, x = asyncio.run(main())
    assert x == 1
    assert tag in str(chosen) or str(chosen) in tag
