"""`spec.graph`: from the resource to an application; what it answers, what is refused, how it shows in the status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from remora import serve
from remora.compat import alias
from remora.errors import GraphError
from remora.graph import build
from remora.graph.assemble import assemble
from remora.graph.describe import describe
from remora.graph.result import BuildFailure
from remora_api.graph_target import graph_from
from remora_api.target import revision_inputs, target_from
from remora_api.v1alpha1 import DeploymentStatus, Graph, GraphNodeStatus, ServeApplication
from remora_api.wire import Target
from remora_operator.graph_status import graph_status
from remora_operator.revisions import inputs
from tests.unit.serving import serving

EXAMPLE = Path(__file__).parents[2] / "examples" / "graph"
HERE = __name__


@serve.deployment
class Add:
    def __init__(self, by: int = 1) -> None:
        self.by = by

    def __call__(self, number: int) -> int:
        return number + self.by


@serve.deployment
def double(number: int) -> int:
    return 2 * number


@serve.deployment
class Reads:
    def __call__(self, request: Any) -> Any:
        return request.json()["n"] + len(request.headers.get("x-word", ""))


def field(value: dict[str, Any]) -> Any:
    return value["n"]


bound = Add.bind(100)
number = 3


def wire(**graph: Any) -> Any:
    return graph_from(Graph.model_validate(graph))


def made(**graph: Any) -> Any:
    return assemble(HERE, wire(**graph), build.load)


async def ask(app: Any, body: Any, **headers: str) -> Any:
    async with serving(app) as running, running.client() as web:
        answer = await web.post("/", json=body, headers=headers)
        return answer.json() if answer.status_code == 200 else (answer.status_code, answer.text)


def sequence(*deployments: str) -> dict[str, Any]:
    return {"name": "root", "sequence": [{"deployment": name} for name in deployments]}


async def test_a_sequence_passes_values_and_its_first_stage_may_take_the_request_or_what_is_in_it() -> None:
    assert await ask(made(nodes=[sequence("Reads", "Add", "double")]), {"n": 2}, **{"x-word": "abc"}) == 12
    assert await ask(made(nodes=[sequence("field", "bound")]), {"n": 2}) == 102


async def test_a_switch_looks_into_the_request() -> None:
    switch = [
        {"when": [{"field": "n", "operator": "Gt", "values": ["10"]}], "node": "big"},
        {"when": [{"field": "kind", "operator": "In", "values": ["a", "b"]}], "deployment": "field"},
    ]
    app = made(nodes=[{"name": "root", "switch": switch}, {**sequence("field", "double"), "name": "big"}])
    assert await ask(app, {"n": 11}) == 22
    assert await ask(app, {"n": 1, "kind": "b"}) == 1
    status, text = await ask(app, {"n": 1})
    assert (status, "the switch 'root' has no case for this request" in text) == (400, True)
    async with serving(app) as running, running.client() as web:
        assert (await web.get("/", params={"kind": "a", "n": "7"})).text == "7"
        bad = await web.post("/", content=b"{", headers={"content-type": "application/json"})
        assert bad.status_code == 400
        assert await running.handle().remote({"n": 11}) == 22


async def test_an_ensemble_and_a_splitter() -> None:
    app = made(
        nodes=[
            {"name": "root", "sequence": [{"deployment": "field"}, {"node": "both"}]},
            {
                "name": "both",
                "ensemble": [
                    {"name": "given", "unchanged": True},
                    {"name": "more", "deployment": "More"},
                    {"name": "split", "node": "split"},
                ],
            },
            {"name": "split", "splitter": [{"weight": 0, "deployment": "double"}, {"weight": 1, "deployment": "Add"}]},
        ],
        deployments=[{"name": "More", "importPath": f"{HERE}:Add", "args": {"by": 5}}],
    )
    assert await ask(app, {"n": 1}) == {"given": 1, "more": 6, "split": 2}
    assert [spec.name for spec in describe(app).deployments] == ["field", "More", "double", "Add", "Graph"]


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (
            {"nodes": [{"name": "root", "sequence": [{"node": "a"}]}, {"name": "a", "sequence": [{"node": "root"}]}]},
            "graph: node 'root' leads to itself through 'a'; break the circle",
        ),
        ({"nodes": [{"name": "root", "sequence": [{"node": "root"}]}]}, "node 'root' leads to itself; break"),
        ({"nodes": [sequence("Missing")]}, f"module '{HERE}' has no attribute 'Missing'"),
        ({"nodes": [sequence("number")]}, "graph: deployment 'number': .*:number is int, and must be a class"),
        ({"nodes": [sequence("Graph")]}, "graph: 'Graph' is the name of the deployment that takes the requests"),
        (
            {"nodes": [sequence("double"), {**sequence("double"), "name": "alone"}]},
            "graph: no way leads from 'root' to 'alone': remove or refer to it",
        ),
        (
            {
                "nodes": [sequence("x")],
                "deployments": [{"name": "x", "importPath": f"{HERE}:bound", "args": {"by": 1}}],
            },
            "graph: deployment 'x': .*:bound is bound in the code and takes no args",
        ),
        (
            {
                "nodes": [sequence("x")],
                "deployments": [{"name": "x", "importPath": f"{HERE}:double", "args": {"a": 1}}],
            },
            "graph: deployment 'x': .*:double is a function and takes no args",
        ),
    ],
)
def test_a_graph_that_cannot_be_is_refused_with_its_node_or_deployment(graph: Any, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        made(**graph)


def test_a_build_says_which_module_it_was_and_refuses_args() -> None:
    for args, message in (({}, "has no attribute 'Missing'"), ({"a": 1}, "args are given, and a graph takes none")):
        found = build.attempt(HERE, args, wire(nodes=[sequence("Missing")]))
        assert isinstance(found, BuildFailure)
        assert found.message.startswith(f"import path '{HERE}': ")
        assert message in found.message


# ── the example, and the resource ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def manifests(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    alias.install()
    monkeypatch.syspath_prepend(str(EXAMPLE))
    documents = yaml.safe_load_all((EXAMPLE / "serveapplication.yaml").read_text())
    return {document["kind"]: document for document in documents}


def test_the_examples_config_map_holds_its_code(manifests: dict[str, dict[str, Any]]) -> None:
    assert manifests["ConfigMap"]["data"] == {"moderation.py": (EXAMPLE / "moderation.py").read_text()}


async def test_the_example_answers_as_its_page_says(manifests: dict[str, dict[str, Any]]) -> None:
    application = ServeApplication.from_manifest(manifests["ServeApplication"], strict=True)
    target = target_from(application, revision="r")
    assert target.graph is not None
    assert target == Target.from_json(target.to_json())
    app = assemble(target.import_path, target.graph, build.load)
    names = {spec.name for spec in describe(app).deployments}
    assert names == {deployment.name for deployment in application.spec.deployments}
    page = (EXAMPLE / "README.md").read_text()
    assert json.dumps(await ask(app, {"text": "Hallo Welt", "language": "de"}), separators=(",", ":")) in page
    assert (await ask(app, {"text": "you fool"}))["accepted"] is False


def test_a_change_of_the_graph_is_a_new_revision_and_other_revisions_stay(manifests: dict[str, Any]) -> None:
    application = ServeApplication.from_manifest(manifests["ServeApplication"])
    changed = json.loads(json.dumps(manifests["ServeApplication"]))
    changed["spec"]["graph"]["nodes"][3]["splitter"][0]["weight"] = 50
    assert revision_inputs(application, None) != revision_inputs(ServeApplication.from_manifest(changed), None)
    assert inputs(application.spec, "") != inputs(ServeApplication.from_manifest(changed).spec, "")
    plain = {"metadata": {"name": "a"}, "spec": {"importPath": "a:b"}}
    assert revision_inputs(ServeApplication.from_manifest(plain), None) == {"importPath": "a:b", "args": {}, "code": ""}


def test_the_status_shows_each_node_and_what_it_waits_for() -> None:
    graph = Graph.model_validate(
        {
            "nodes": [
                {"name": "root", "switch": [{"when": [{"operator": "Exists"}], "node": "seq"}, {"unchanged": True}]},
                {"name": "seq", "sequence": [{"deployment": "A"}, {"deployment": "B"}, {"deployment": "A"}]},
            ]
        }
    )
    deployments = [DeploymentStatus(name="A", ready=1, desired=1), DeploymentStatus(name="B", ready=0, desired=1)]
    assert graph_status(graph, deployments) == (
        GraphNodeStatus(
            name="root",
            kind="switch",
            to=("seq", "unchanged"),
            ready=1,
            desired=2,
            message="no replica answers of B",
        ),
        GraphNodeStatus(
            name="seq", kind="sequence", to=("A", "B"), ready=1, desired=2, message="no replica answers of B"
        ),
    )
    assert graph_status(None, deployments) == ()


def test_what_is_below_a_node_is_found_quickly_in_a_graph_with_many_ways() -> None:
    nodes = [
        {"name": f"n{level}", "sequence": [{"node": f"n{level + 1}"}] * 16}
        if level < 31
        else {"name": "n31", "sequence": [{"deployment": "A"}]}
        for level in range(32)
    ]
    assert Graph.model_validate({"root": "n0", "nodes": nodes}).below("n0") == ("A",)
