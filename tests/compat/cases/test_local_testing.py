"""Local testing mode: an application in this process, without Ray or sockets."""

import asyncio
import os

import pytest
from ray import serve
from ray.serve.handle import DeploymentResponse


@serve.deployment
class Inner:
    def __init__(self, n):
        self.n = n

    def __call__(self, x):
        return self.n * x

    def pid(self):
        return os.getpid()

    def fails(self):
        raise ValueError("inner failed")

    def count(self, n):
        yield from range(n)


@serve.deployment(user_config={"plus": 100})
class Outer:
    def __init__(self, inner):
        self.inner = inner

    def reconfigure(self, config):
        self.plus = config["plus"]

    async def __call__(self, x):
        return await self.inner.remote(x) + self.plus

    async def pid(self):
        return await self.inner.pid.remote()

    async def passes(self, x):
        return await self.inner.remote(self.inner.remote(x))


@pytest.fixture
def local(run):
    return run(Outer.bind(Inner.bind(2)), name="local", _local_testing_mode=True)


def test_it_answers_and_is_configured(local):
    assert local.remote(3).result() == 106


def test_it_runs_in_this_process(local):
    assert local.pid.remote().result() == os.getpid()


def test_responses_are_responses(local):
    assert isinstance(local.remote(1), DeploymentResponse)


def test_it_is_awaited(local):
    async def main():
        return await local.remote(1)

    assert asyncio.run(main()) == 102


def test_responses_are_passed_on(local):
    assert local.passes.remote(1).result() == 4


def test_exceptions_arrive(run):
    handle = run(Inner.bind(1), _local_testing_mode=True)
    with pytest.raises(ValueError, match="inner failed"):
        handle.fails.remote().result()


def test_generators_stream(run):
    handle = run(Inner.bind(1), _local_testing_mode=True)
    assert list(handle.options(stream=True).count.remote(3)) == [0, 1, 2]


def test_an_async_constructor(run):
    @serve.deployment
    class Async:
        async def __init__(self):
            await asyncio.sleep(0)
            self.made = True

        def __call__(self):
            return self.made

    assert run(Async.bind(), _local_testing_mode=True).remote().result() is True
