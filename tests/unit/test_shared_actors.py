"""Deployment actors without Ray: their names, their methods, and which of them nobody needs any more."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora import serve
from remora.compat.deployment_actor import DeploymentActorConfig
from remora.controller.lifecycle import Phase
from remora.controller.shared_actors import unneeded
from remora.controller.versions import resolve
from remora.errors import GraphError, OptionError, RemoraError
from remora.graph import shared_actor as graph_actor
from remora.graph.definition import dumps, loads
from remora.graph.describe import describe
from remora.replica import actor_names
from remora.replica.shared_actor import host, read
from tests.unit.worlds import graph, node, target, with_replicas, world


class Plain:
    """Stands for what @ray.remote makes of a class."""

    def add(self, more: int) -> int:
        return 1 + more


class Decorated:
    __ray_actor_class__ = Plain
    _default_options = {"num_cpus": 2, "max_concurrency": 3, "name": "mine"}  # noqa: RUF012 - as Ray has it


@serve.deployment(deployment_actors=[DeploymentActorConfig(name="one", actor_class=Decorated, init_args=(1,))])
class Model:
    pass


@given(st.tuples(st.text(), st.text(), st.text()), st.text())
def test_whose_an_actor_is_can_be_read_from_its_name(owner: actor_names.Owner, actor: str) -> None:
    name = actor_names.name(owner, actor)
    assert actor_names.owner(name) == owner
    assert "#" not in name


@pytest.mark.parametrize("name", ["app#Model#1234", "other", "deployment-actor:a:b:c", "x:a:b:c:d", ""])
def test_other_names_are_no_deployment_actors(name: str) -> None:
    assert actor_names.owner(name) is None


def test_a_version_needs_its_actors_while_it_is_wanted_or_has_replicas() -> None:
    before = with_replicas(world(target(), graph("A", "B"), node("n1")), "A", Phase.DRAINING, version="old")
    (a, b) = resolve(before.serving["app"])
    known = {("app", "A", "old"), ("app", "A", "older"), ("app", "A", a.version), ("app", "B", b.version)}
    assert unneeded({*known, ("gone", "A", a.version)}, before) == {("app", "A", "older"), ("gone", "A", a.version)}


def test_an_actor_is_written_beside_its_deployment() -> None:
    application = Model.bind()
    described = describe(application)
    (found,) = loads(dumps(described.deployments[0], described), lambda name: name).actors
    shared = read(found.data)
    assert (found.name, shared.name, shared.cls, shared.args) == ("one", "one", Plain, (1,))
    assert shared.options == {"max_concurrency": 3}, "Remora says where it runs, and what it is called"
    assert described.warnings == ()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere:Actor", "actor_class 'nowhere:Actor': ModuleNotFoundError"),
        ("Actor", "must be module:Class"),
        (f"{__name__}:Plain", "names no class that @ray.remote decorates"),
        (f"{__name__}:Missing", "AttributeError"),
    ],
)
def test_an_import_path_that_leads_to_no_actor_is_an_error_of_the_build(path: str, message: str) -> None:
    config = DeploymentActorConfig(name="one", actor_class=path)
    with pytest.raises(GraphError, match=message) as raised:
        list(graph_actor.of("Model", (config,)))
    assert str(raised.value).startswith("deployment 'Model': deployment actor 'one': ")


def test_options_of_actors_are_checked() -> None:
    one = DeploymentActorConfig(name="one", actor_class="m:C")
    for wrong, message in (
        ([one, one], "must have unique names, and two are called 'one'"),
        ("one", "must be a list of DeploymentActorConfig"),
        ([{"name": "one"}], "is wrong: actor_class"),
        ([{"name": "one", "actor_class": Plain}], "must be a class that @ray.remote decorates"),
    ):
        with pytest.raises(OptionError, match=message):
            Model.options(deployment_actors=wrong)
    assert Model.options(deployment_actors=None).settings.deployment_actors == ()


class Kinds:
    def __call__(self) -> str:
        return "called"

    def plain(self, a: int, *, b: int) -> int:
        return a + b

    def items(self) -> Iterator[int]:
        yield from (1, 2)

    async def later(self) -> int:
        return 3

    async def stream(self) -> AsyncIterator[int]:
        yield 4

    @staticmethod
    def fixed() -> str:
        return "fixed"

    plain.__dict__["__ray_num_returns__"] = 2
    plain.__dict__["other"] = 1


def test_a_host_has_the_methods_of_the_users_class_and_their_kinds() -> None:
    made: Any = object.__new__(host(Kinds))
    made._instance = Kinds()
    assert (type(made).__name__, made(), made.plain(1, b=2), list(made.items()), made.fixed()) == (
        "Kinds",
        "called",
        3,
        [1, 2],
        "fixed",
    )

    async def ask() -> tuple[int, list[int]]:
        return await made.later(), [item async for item in made.stream()]

    assert asyncio.run(ask()) == (3, [4])
    kinds = (inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect.isasyncgenfunction)
    assert all(is_it(method) for is_it, method in zip(kinds, (made.items, made.later, made.stream), strict=True))
    assert vars(type(made).plain) == {"__ray_num_returns__": 2}


def test_outside_of_replicas_there_are_none() -> None:
    with pytest.raises(RemoraError, match="works in a deployment's methods only"):
        serve.get_deployment_actor("one")
    with pytest.raises(RemoraError, match="works in a deployment actor's methods only"):
        serve.get_deployment_actor_context()
    with pytest.raises(RemoraError, match="a deployment actor was expected, and the bytes hold str"):
        read(b"\x80\x05\x8c\x01a.")
