"""Applications of several deployments."""

import asyncio

import pytest
import ray
from pydantic import BaseModel
from ray import serve
from ray.serve.handle import DeploymentHandle


@serve.deployment
class Const:
    def __init__(self, value=0):
        self.value = value

    def __call__(self, request=None):
        return self.value

    def name(self):
        return serve.get_replica_context().deployment


@serve.deployment
class Sum:
    def __init__(self, parts, named=None, *more, extra=None):
        self.parts = [*parts, *(named or {}).values(), *more, *([extra] if extra else [])]

    async def __call__(self, request=None):
        return sum(await asyncio.gather(*[part.remote() for part in self.parts]))

    async def names(self):
        return sorted(await asyncio.gather(*[part.name.remote() for part in self.parts]))

    def kinds(self):
        return [type(part).__name__ for part in self.parts]


@serve.deployment
def double(x):
    return 2 * x


def test_a_list_of_applications(run):
    assert run(Sum.bind([Const.bind(1), Const.bind(2)])).remote().result() == 3


def test_a_dict_of_applications(run):
    assert run(Sum.bind([], {"a": Const.bind(1), "b": Const.bind(5)})).remote().result() == 6


def test_by_position_and_by_name(run):
    app = Sum.bind([Const.bind(1)], {}, Const.bind(10), extra=Const.bind(100))
    assert run(app).remote().result() == 111


def test_nested_lists_and_dicts(run):
    @serve.deployment
    class Nested:
        def __init__(self, tree):
            self.tree = tree

        async def __call__(self):
            return await self.tree["left"][0]["deep"].remote(), await self.tree["right"][1].remote(), self.tree["plain"]

    tree = {"left": [{"deep": Const.bind(1)}], "right": (0, Const.bind(2)), "plain": {"a": [1]}}
    assert run(Nested.bind(tree)).remote().result() == (1, 2, {"a": [1]})


def test_what_is_bound_arrives_as_a_handle(run):
    assert run(Sum.bind([Const.bind(1)])).kinds.remote().result() == ["DeploymentHandle"]


def test_the_same_class_bound_twice_is_two_deployments(run):
    handle = run(Sum.bind([Const.bind(1), Const.bind(2), Const.bind(3)]), name="twice", route_prefix="/twice")
    assert handle.names.remote().result() == ["Const", "Const_1", "Const_2"]
    assert set(serve.status().applications["twice"].deployments) == {"Sum", "Const", "Const_1", "Const_2"}


def test_the_same_application_used_twice_is_one_deployment(run):
    shared = Const.bind(4)
    handle = run(Sum.bind([shared, shared]), name="diamond", route_prefix="/diamond")
    assert handle.remote().result() == 8
    assert set(serve.status().applications["diamond"].deployments) == {"Sum", "Const"}


def test_a_diamond(run):
    @serve.deployment
    class Add:
        def __init__(self, base, n):
            self.base, self.n = base, n

        async def __call__(self):
            return await self.base.remote() + self.n

    base = Const.bind(1)
    app = Sum.bind([Add.bind(base, 10), Add.options(name="Other").bind(base, 100)])
    assert run(app).remote().result() == 112


def test_a_function_as_a_part(run):
    @serve.deployment
    class Front:
        def __init__(self, part: DeploymentHandle):
            self.part = part

        async def __call__(self, x):
            return await self.part.remote(x)

    assert run(Front.bind(double.bind())).remote(4).result() == 8


def test_names_given_by_options_stay(run):
    app = Sum.bind([Const.options(name="one").bind(1), Const.options(name="two").bind(2)])
    assert run(app).names.remote().result() == ["one", "two"]


def test_a_chain_of_three(run):
    @serve.deployment
    class Next:
        def __init__(self, inner, word):
            self.inner, self.word = inner, word

        async def __call__(self, request=None):
            return f"{await self.inner.remote()}{self.word}"

    app = Next.options(name="c").bind(Next.options(name="b").bind(Next.options(name="a").bind(Const.bind(0), 1), 2), 3)
    assert run(app).remote().result() == "0123"


def test_an_async_constructor_may_call_its_parts(run):
    @serve.deployment
    class Eager:
        async def __init__(self, part):
            self.value = await part.remote()

        def __call__(self):
            return self.value

    assert run(Eager.bind(Const.bind(7))).remote().result() == 7


def test_constructor_arguments_are_values(run):
    @serve.deployment
    class Keeps:
        def __init__(self, *args, **kwargs):
            self.given = args, kwargs

        def __call__(self):
            return self.given

    class Own:
        def __init__(self, x):
            self.x = x

        def __eq__(self, other):
            return self.x == other.x

    args, kwargs = run(Keeps.bind(1, None, [2], own={"a": {3}})).remote().result()
    assert (args, kwargs) == ((1, None, [2]), {"own": {"a": {3}}})
    args, _ = run(Keeps.bind(lambda x: x + 1)).remote().result()
    assert args[0](1) == 2


def test_a_builder_with_typed_arguments(run):
    class Args(BaseModel):
        values: list[int]
        replicas: int = 1

    def build(args: Args):
        return Sum.bind([Const.options(name=f"c{v}", num_replicas=args.replicas).bind(v) for v in args.values])

    assert run(build(Args(values=[1, 2]))).remote().result() == 3


def test_http_reaches_the_ingress_only(run, http):
    run(Sum.bind([Const.bind(1), Const.bind(2)]))
    assert http.get("/").json() == 3
    assert http.get("/Const").json() == 3


def test_deployments_are_scaled_each_for_itself(run):
    run(Sum.bind([Const.options(num_replicas=2).bind(1)]), name="scaled", route_prefix="/scaled")
    deployments = serve.status().applications["scaled"].deployments
    assert deployments["Const"].replica_states == {"RUNNING": 2}
    assert deployments["Sum"].replica_states == {"RUNNING": 1}


def test_an_argument_that_cannot_be_pickled_is_refused(run):
    with pytest.raises(TypeError, match=r"(?i)pickle|serializ"):
        run(Const.bind(number for number in range(3)))


@serve.deployment
class Tally:
    def __call__(self, values, scale=1):
        return sum(values) * scale

    async def inner(self, boxed):
        return sum(await boxed[0])

    async def of_my_own(self, n):
        other = serve.get_deployment_handle("Tally", "tally")
        return await other.remote(ray.put(list(range(n))))

    def numbers(self, n):
        yield from range(n)


class Box:
    def __init__(self, inner):
        self.inner = inner


@serve.deployment
class Opens:
    def __init__(self, box):
        self.box = box

    async def __call__(self):
        return await self.box.inner["here"].remote([2, 3])


def test_a_bound_deployment_inside_an_object(run):
    handle = run(Opens.bind(Box({"here": Tally.bind()})), name="opens")
    assert handle.remote().result() == 5


@pytest.fixture(scope="module")
def tally(share):
    return share(Tally.bind(), "tally")


def test_object_references_arrive_as_objects(tally):
    assert tally.remote(ray.put([1, 2, 3])).result() == 6
    assert tally.remote([1, 2], scale=ray.put(10)).result() == 30
    assert tally.of_my_own.remote(4).result() == 6


def test_an_object_reference_in_a_list_stays_one(tally):
    assert tally.inner.remote([ray.put([4, 5])]).result() == 9


def test_the_result_of_a_ray_task_is_an_argument(tally):
    @ray.remote(num_cpus=0)
    def three():
        return [1, 1, 1]

    assert tally.remote(three.remote()).result() == 3


def test_a_ray_task_that_failed_fails_the_call(tally):
    @ray.remote(num_cpus=0, max_retries=0)
    def broken():
        raise LookupError("nowhere")

    with pytest.raises(Exception, match="nowhere"):
        tally.remote(broken.remote()).result()


@ray.remote(num_cpus=0)
def doubled(number):
    return number * 2


@serve.deployment
class Refers:
    def __init__(self, tally):
        self.tally = tally

    async def later(self):
        ref = await self.tally.options(_by_reference=True).remote([1, 2])._to_object_ref()
        return await doubled.remote(ref)

    def at_once(self):
        ref = self.tally.options(_by_reference=True).remote([3])._to_object_ref_sync()
        return ray.get(doubled.remote(ref))

    async def each(self):
        stream = self.tally.options(stream=True, _by_reference=True).numbers.remote(3)
        return [await doubled.remote(ref) async for ref in await stream._to_object_ref_gen()]

    def each_at_once(self):
        stream = self.tally.options(stream=True, _by_reference=True).numbers.remote(3)
        return [ray.get(doubled.remote(ref)) for ref in stream._to_object_ref_gen_sync()]


def test_a_response_becomes_a_reference(share, tally):
    handle = share(Refers.bind(Tally.bind()), "refers")
    assert handle.later.remote().result() == 6
    assert handle.at_once.remote().result() == 6


def test_a_stream_becomes_references(share, tally):
    handle = share(Refers.bind(Tally.bind()), "streams_references")
    assert handle.each.remote().result() == [0, 2, 4]
    assert handle.each_at_once.remote().result() == [0, 2, 4]
