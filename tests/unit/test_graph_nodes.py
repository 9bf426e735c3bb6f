"""Graphs as they are written down: nodes, stages, and what is refused before anything runs."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from remora import serve
from remora.drivers import DAGDriver
from remora.errors import GraphError, OptionError, RemoraError
from remora.graph import build, definition
from remora.graph.application import Application
from remora.graph.condition import Condition
from remora.graph.describe import describe
from remora.graph.node import InputNode
from remora.graph.result import BuildFailure


@serve.deployment
class Model:
    def __init__(self, *args: Any) -> None:
        self.args = args

    def predict(self, value: Any) -> Any:
        return value


@serve.deployment
def prepare(value: Any) -> Any:
    return value


@serve.deployment
def join(values: Any) -> Any:
    return values


def names(app: Application) -> list[str]:
    return [spec.name for spec in describe(app).deployments]


def test_a_graph_comes_to_the_deployments_that_it_calls() -> None:
    with InputNode() as inp:
        model = Model.bind()
        app = DAGDriver.bind(model.predict.bind(prepare.bind(inp)))
    graph = describe(app)
    assert graph.ingress == "DAGDriver"
    assert graph.deployments[-1].dependencies == ("Model", "prepare")


def test_a_binding_or_a_function_used_twice_is_one_deployment() -> None:
    with InputNode() as inp:
        model = Model.bind()
        output = join.bind([model.predict.bind(prepare.bind(inp)), model.predict.bind(prepare.bind(inp))])
    assert sorted(names(DAGDriver.bind({"/a": output, "/b": output}))) == ["DAGDriver", "Model", "join", "prepare"]


def test_branches_and_predicates_are_deployments_of_the_application() -> None:
    app = Model.bind().when(prepare, join, Model.bind().then(len)).fan_out(x=str, y=Model).split((repr, 1), (int, 2))
    assert names(app) == ["Model", "prepare", "join", "Model_1", "len", "str", "Model_2", "repr", "int"]
    assert repr(app) == "<Application Model → switch(join, Model) → ensemble(str, Model) → splitter(repr, int)>"


def test_a_node_shows_what_it_is() -> None:
    with InputNode() as inp:
        output = Model.bind().predict.bind(inp[0]).then(prepare)
    assert [repr(node) for node in (inp, inp[0], inp.word, output)] == [
        "<input>",
        "<input[0]>",
        "<input.word>",
        "<Model.predict → prepare>",
    ]


def test_an_input_outside_of_a_graph_is_refused() -> None:
    with pytest.raises(GraphError, match="deployment 'prepare': an InputNode is used outside of a graph"):
        prepare.bind(InputNode())
    with pytest.raises(GraphError, match="deployment 'Model': an InputNode is used outside"):
        Model.bind().predict.bind([InputNode()])


@pytest.mark.parametrize("part", [lambda inp: inp, lambda inp: inp[0], lambda inp: [inp.word]])
def test_an_input_as_a_constructor_argument_is_refused(part: Any) -> None:
    with InputNode() as inp, pytest.raises(GraphError, match="deployment 'Model': the input of a graph cannot be"):
        Model.bind(part(inp))


def test_two_inputs_in_one_graph_are_refused() -> None:
    with (
        InputNode() as one,
        InputNode() as other,
        pytest.raises(GraphError, match="deployment 'join': its graph has 2 InputNodes"),
    ):
        join.bind([prepare.bind(one), prepare.bind(other)])


def test_graphs_of_two_drivers_have_an_input_each() -> None:
    with InputNode() as inner:
        below = DAGDriver.bind(prepare.bind(inner))
    with InputNode() as outer:
        assert names(DAGDriver.bind(join.bind([below, outer])))[-1] == "DAGDriver_1"


def test_a_method_that_the_class_has_not_is_refused_with_those_it_has() -> None:
    with pytest.raises(AttributeError, match="deployment 'Model' has no method 'predikt'; its methods are: predict"):
        Model.bind().predikt  # noqa: B018 - the access is what is tested
    with pytest.raises(AttributeError, match="deployment 'prepare' has no method 'predict'"):
        prepare.alone.predict  # noqa: B018 - as above


def test_what_is_only_bound_cannot_be_called() -> None:
    app = Model.bind()
    for call in (app, app.predict, app.predict.remote):
        with pytest.raises(GraphError, match="application 'Model' is bound and not running"):
            call(1)
    with InputNode() as inp, pytest.raises(RemoraError, match="nothing serves here"):
        prepare.bind(inp).remote(1)


def test_a_node_has_no_value_yet() -> None:
    with InputNode() as inp:
        with pytest.raises(GraphError, match=r"<prepare> has no value .* branch with \.when"):
            bool(prepare.bind(inp))
        with pytest.raises(GraphError, match="cannot be iterated over"):
            list(prepare.bind(inp))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda app: app.when(bool), "when\\(\\) has no branch"),
        (lambda app: app.when(3, len), "when\\(\\) takes a function of the value, .* and was given int"),
        (lambda app: app.when(bool, 3), "when\\(\\) takes a bound deployment, .* given int"),
        (lambda app: app.when(bool, len, 3), "when\\(\\) takes a bound deployment, .* given int"),
        (lambda app: app.fan_out(), "fan_out\\(\\) takes stages"),
        (lambda app: app.fan_out(len, x=len), "either all by name or none"),
        (lambda app: app.split(), "split\\(\\) takes \\(stage, weight\\) pairs"),
        (lambda app: app.split((len, 0)), "not all of them 0"),
        (lambda app: app.split((len, -1), (str, 2)), "whole weights of 0 or more"),
        (lambda app: app.then(_node()), "then\\(\\) of an application cannot take a node"),
    ],
)
def test_a_branch_that_cannot_be_is_refused_and_the_deployment_is_named(make: Any, message: str) -> None:
    with pytest.raises(GraphError, match=f"deployment 'Model': .*{message}"):
        make(Model.bind())


def _node() -> Any:
    with InputNode() as inp:
        return prepare.bind(inp)


def test_a_cycle_through_a_branch_is_refused_with_the_names_on_it() -> None:
    inside: list[Application] = []
    outer = Model.bind().when(bool, Model.options(name="Branch").bind(inside))
    inside.append(outer)
    with pytest.raises(GraphError, match="deployment 'Model' binds itself through 'Branch'; break the cycle"):
        describe(outer)


def test_a_predicate_that_cannot_be_pickled_is_refused_and_the_deployment_is_named() -> None:
    lock = threading.Lock()
    app = Model.bind().when(lambda value: lock.locked(), prepare)
    with pytest.raises(
        GraphError, match="deployment 'Model': its class or bind arguments cannot be pickled: TypeError"
    ):
        build.build(app)
    with (
        InputNode() as inp,
        pytest.raises(GraphError, match="deployment 'DAGDriver': its class or bind arguments cannot be pickled"),
    ):
        build.build(DAGDriver.bind(join.bind([inp, lock])))


def test_a_function_still_takes_no_plain_arguments() -> None:
    with pytest.raises(OptionError, match="'prepare' is a function and takes no bind arguments"):
        prepare.bind(1)


def test_a_node_is_no_application() -> None:
    failure = build.attempt("tests.unit.test_graph_nodes:NODE", {})
    assert isinstance(failure, BuildFailure)
    assert "is a node of a graph: bind it to an ingress, for instance DAGDriver.bind(node)" in failure.message


def test_nodes_of_rays_own_graphs_are_understood() -> None:
    dag = pytest.importorskip("ray.dag")
    with dag.InputNode() as inp:
        app = DAGDriver.bind(join.bind([prepare.bind(inp[0]), prepare.bind(inp.word), inp]))
    ingress = build.build(app).deployments[-1]
    found = definition.loads(build.build(app).definitions[ingress.digest], str)
    parts = found.args[0].args[0]
    assert [repr(part) for part in (parts[0].args[0], parts[1].args[0], parts[2])] == [
        "<input[0]>",
        "<input.word>",
        "<input>",
    ]
    with pytest.raises(GraphError, match="an InputNode is used outside of a graph"):
        prepare.bind(dag.InputNode())


@pytest.mark.parametrize(
    ("condition", "value", "holds"),
    [
        (Condition("a.b", "In", ["x", "y"]), {"a": {"b": "y"}}, True),
        (Condition("a.b", "In", ["x"]), {"a": {"b": "y"}}, False),
        (Condition("a.1", "In", ["2"]), {"a": [1, 2.0]}, True),
        (Condition("a.7", "Exists"), {"a": [1]}, False),
        (Condition("a", "DoesNotExist"), "text", True),
        (Condition("a", "NotIn", ["x"]), {}, True),
        (Condition("a", "NotIn", ["x"]), {"a": "x"}, False),
        (Condition("", "In", ["true"]), True, True),
        (Condition("", "In", ["1"]), True, False),
        (Condition("a", "In", ["null"]), {"a": None}, True),
        (Condition("", "Gt", ["0.5"]), 0.6, True),
        (Condition("", "Gt", ["0.5"]), "0.6", False),
        (Condition("n", "Lt", ["3"]), {"n": 2}, True),
        (Condition("n", "Lt", ["3"]), {"n": True}, False),
    ],
)
def test_a_condition_compares_a_field(condition: Condition, value: Any, holds: bool) -> None:
    assert condition.holds(value) is holds


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a", "Is", ["x"]), "condition on 'a': unknown operator 'Is'; known are In, NotIn"),
        (("a", "In"), "In takes a list of values"),
        (("a", "In", "xy"), "In takes a list of values"),
        (("a", "Exists", ["x"]), "Exists takes no values"),
        (("a", "Gt", ["x"]), "Gt takes one number"),
        (("a", "Lt", ["1", "2"]), "Lt takes one number"),
    ],
)
def test_a_condition_that_could_never_hold_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        Condition(*arguments)


NODE = _node()
