"""Queues, timeouts, cancellation, and what goes along with a request in its headers."""

import asyncio
import concurrent.futures
import time

import httpx
import pytest
from ray import serve
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, RayServeException, RequestCancelledError
from starlette.requests import Request


@serve.deployment(max_ongoing_requests=1, max_queued_requests=1)
class Full:
    def __init__(self):
        self.gate = None

    async def __call__(self, request: Request = None):
        await asyncio.sleep(2)
        return "done"


@serve.deployment
class Inner:
    def __init__(self):
        self.begun = self.cancelled = 0

    async def forever(self):
        self.begun += 1
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def cancellations(self):
        return self.cancelled

    async def beginnings(self):
        return self.begun

    async def seen(self):
        return {"model": serve.get_multiplexed_model_id(), "route": route()}


def route():
    return None


@serve.deployment(max_ongoing_requests=20)
class Outer:
    def __init__(self, inner):
        self.inner = inner

    async def __call__(self, request: Request):
        match request.url.path.rpartition("/")[2]:
            case "wait":
                return await self.inner.forever.remote()
            case "id":
                return {"header": request.headers.get("x-request-id")}
            case "model":
                return {"here": serve.get_multiplexed_model_id(), "there": (await self.inner.seen.remote())["model"]}
            case "sleep":
                await asyncio.sleep(float(request.query_params["s"]))
                return "slept"
            case "raise":
                raise RequestCancelledError("r1")
            case _:
                return "ok"

    async def wait(self):
        return await self.inner.forever.remote()

    async def cancellations(self):
        return await self.inner.cancellations.remote()

    async def beginnings(self):
        return await self.inner.beginnings.remote()


@pytest.fixture(scope="module")
def outer(share):
    return share(Outer.bind(Inner.bind()), "limits")


def until(holds, timeout_s=20):
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def test_exceptions_are_ray_serves(instance):
    for kind in (BackPressureError, RequestCancelledError, DeploymentUnavailableError):
        assert issubclass(kind, RayServeException)


def test_a_full_queue_raises_back_pressure(run):
    handle = run(Full.bind())
    responses = [handle.remote() for _ in range(8)]
    errors, values = [], []
    for response in responses:
        try:
            values.append(response.result(timeout_s=30))
        except BackPressureError as error:
            errors.append(error)
    assert errors
    assert values
    assert "max_queued_requests=1" in str(errors[0])


def test_a_full_queue_is_a_503(run, http):
    run(Full.bind())
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        codes = [answer.status_code for answer in pool.map(lambda _: http.get("/"), range(8))]
    assert set(codes) == {200, 503}


def test_a_full_queue_may_be_a_429_with_retry_after(run, http):
    run(Full.options(backpressure_config={"status_code": 429, "retry_after_s": 7}).bind())
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: http.get("/"), range(8)))
    assert {answer.status_code for answer in answers} == {200, 429}
    assert {answer.headers["retry-after"] for answer in answers if answer.status_code == 429} == {"7"}


def test_a_request_id_is_made_and_returned(outer, http):
    first, second = http.get("/limits/id"), http.get("/limits/id")
    assert first.headers["x-request-id"]
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


def test_a_request_id_that_is_given_is_kept(outer, http):
    answer = http.get("/limits/id", headers={"x-request-id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.json() == {"header": "mine-1"}


def test_a_request_may_bring_its_own_timeout(outer, http):
    began = time.monotonic()
    answer = http.get("/limits/sleep?s=10", headers={"x-request-timeout-seconds": "0.5"})
    assert answer.status_code == 408
    assert time.monotonic() - began < 5


def test_a_request_within_its_timeout_is_answered(outer, http):
    answer = http.get("/limits/sleep?s=0.1", headers={"x-request-timeout-seconds": "10"})
    assert (answer.status_code, answer.text) == (200, "slept")


def test_a_malformed_timeout_is_ignored(outer, http):
    for value in ("soon", "-1"):
        assert http.get("/limits/", headers={"x-request-timeout-seconds": value}).status_code == 200


def test_a_timed_out_request_cancels_what_it_called(outer, http):
    before = outer.cancellations.remote().result()
    assert http.get("/limits/wait", headers={"x-request-timeout-seconds": "0.7"}).status_code == 408
    until(lambda: outer.cancellations.remote().result() == before + 1)


def test_a_client_that_leaves_cancels_what_was_called(outer, http):
    before = outer.cancellations.remote().result()
    with pytest.raises(httpx.ReadTimeout):
        http.get("/limits/wait", timeout=0.7)
    until(lambda: outer.cancellations.remote().result() == before + 1)


def test_cancelling_a_call_cancels_the_calls_below(outer):
    before = outer.cancellations.remote().result()
    begun = outer.beginnings.remote().result()
    response = outer.wait.remote()
    until(lambda: outer.beginnings.remote().result() == begun + 1)
    response.cancel()
    until(lambda: outer.cancellations.remote().result() == before + 1)


def test_the_model_header_stays_with_its_request(outer, http):
    answer = http.get("/limits/model", headers={"serve_multiplexed_model_id": "m7"}).json()
    assert answer["here"] == "m7"
    assert answer["there"] == ""


def test_a_session_header_is_accepted(outer, http):
    assert http.get("/limits/", headers={"x-session-id": "s1"}).text == "ok"


def test_calls_of_a_deleted_application_fail(run):
    handle = run(Inner.bind(), name="gone")
    assert handle.cancellations.remote().result() == 0
    serve.delete("gone")
    with pytest.raises(Exception):
        handle.cancellations.remote().result(timeout_s=15)
