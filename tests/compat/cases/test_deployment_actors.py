"""Actors that all replicas of a deployment share."""

import os
import time

import pytest
import ray
from ray import serve
from ray.serve.config import DeploymentActorConfig
from ray.serve.exceptions import RayServeException


@ray.remote
class Counter:
    def __init__(self, start=0, *, step=1):
        self.count, self.step = start, step

    def add(self):
        self.count += self.step
        return self.count

    def pid(self):
        return os.getpid()

    def context(self):
        context = serve.get_deployment_actor_context()
        return context.app_name, context.deployment, context.actor_name, context.code_version

    @ray.method(num_returns=2)
    def both(self):
        return self.count, self.step


@ray.remote
class Asynchronous:
    async def twice(self, number):
        return 2 * number

    async def several(self, count):
        for number in range(count):
            yield number


def config(**changes):
    return DeploymentActorConfig(**{"name": "counter", "actor_class": Counter, **changes})


@serve.deployment(num_replicas=2, deployment_actors=[config(init_args=[10], init_kwargs={"step": 2})])
class Sharing:
    def __init__(self, version=1):
        self.version = version
        self.counter = serve.get_deployment_actor("counter")
        self.at_start = ray.get(self.counter.pid.remote())

    async def __call__(self):
        return await self.counter.add.remote()

    async def both(self):
        return await serve.get_deployment_actor("counter").pid.remote(), os.getpid()

    async def contexts(self):
        context = serve.get_replica_context()
        mine = context.app_name, context.deployment, "counter", context.code_version
        return mine, await self.counter.context.remote()

    async def results(self):
        return [await each for each in self.counter.both.remote()]

    def pid(self):
        return self.at_start, self.version

    def missing(self):
        with pytest.raises(ValueError):
            serve.get_deployment_actor("nothing")
        with pytest.raises(RayServeException):
            serve.get_deployment_actor_context()
        return True


def until(holds, timeout_s=30):
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.1)


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture(scope="module")
def sharing(share):
    return share(Sharing.bind(), "sharing")


def test_replicas_share_one_actor_with_its_arguments(sharing):
    assert [sharing.remote().result() for _ in range(5)] == [12, 14, 16, 18, 20]
    both = {sharing.both.remote().result() for _ in range(20)}
    assert (len({actor for actor, _ in both}), len({replica for _, replica in both})) == (1, 2)


def test_an_actor_knows_whose_it_is(sharing):
    mine, told = sharing.contexts.remote().result()
    assert mine == told
    assert mine[:3] == ("sharing", "Sharing", "counter")
    assert isinstance(mine[3], str)


def test_an_actors_method_may_have_several_results(sharing):
    assert sharing.results.remote().result()[1] == 2


def test_other_names_and_places_have_no_actor(sharing):
    assert sharing.missing.remote().result()
    for ask in (lambda: serve.get_deployment_actor("counter"), serve.get_deployment_actor_context):
        with pytest.raises(RayServeException):
            ask()


def test_an_actor_may_be_asynchronous_and_stream(run):
    @serve.deployment(deployment_actors=[{"name": "other", "actor_class": Asynchronous}])
    class Streams:
        async def __call__(self):
            actor = serve.get_deployment_actor("other")
            items = [await item async for item in actor.several.options(num_returns="streaming").remote(3)]
            return await actor.twice.remote(21), items

    assert run(Streams.bind()).remote().result() == (42, [0, 1, 2])


def test_an_actors_class_may_be_an_import_path(run):
    @serve.deployment(deployment_actors=[config(actor_class="tally_actor:Tally", init_args=[5])])
    class Tallies:
        async def __call__(self):
            return await serve.get_deployment_actor("counter").add.remote(more=3)

    assert run(Tallies.bind()).remote().result() == 8


def test_a_killed_actor_comes_again(run):
    handle = run(Sharing.options(num_replicas=1).bind())
    before, _ = handle.both.remote().result()
    os.kill(before, 9)

    def is_new():
        try:
            return handle.both.remote().result(timeout_s=20)[0] != before
        except Exception:
            return False

    until(is_new, 60)


def test_a_new_version_has_an_actor_of_its_own_and_none_outlives_its_deployment(run):
    first, _ = run(Sharing.options(num_replicas=1).bind(1)).pid.remote().result()
    second, version = run(Sharing.options(num_replicas=1).bind(2)).pid.remote().result()
    assert (version, first != second) == (2, True)
    until(lambda: not lives(first))
    assert lives(second)
    serve.delete("default")
    until(lambda: not lives(second))


def test_an_actor_that_cannot_start_fails_the_deployment(run):
    @ray.remote
    class Broken:
        def __init__(self):
            raise KeyError("weights")

    with pytest.raises(RuntimeError):
        run(Sharing.options(num_replicas=1, deployment_actors=[config(actor_class=Broken)]).bind())
    assert "weights" in serve.status().applications["default"].deployments["Sharing"].message


def test_a_config_of_an_actor_is_checked():
    made = config(init_args=[1, 2])
    assert (made.name, made.init_args, made.init_kwargs, made.actor_options) == ("counter", (1, 2), {}, {})
    assert made.actor_class == f"{__name__}:Counter"
    for wrong in ({"actor_class": 3}, {"name": None}, {"init_kwargs": [1]}, {"actor_options": 1}):
        with pytest.raises(ValueError):
            config(**wrong)
    with pytest.raises(ValueError):
        DeploymentActorConfig(name="nothing")


def test_names_of_actors_are_unique():
    with pytest.raises(ValueError, match="unique"):
        serve.deployment(deployment_actors=[config(), config()])(Counter.__ray_actor_class__)
    with pytest.raises(ValueError):
        serve.deployment(deployment_actors="counter")(Counter.__ray_actor_class__)
