"""Programs in the idioms of an older Ray Serve, and graphs of the resource, on a real cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.apps import application, deployment
from tests.e2e.stage import ROOT, Stage, eventually

pytestmark = pytest.mark.cluster

SEEDS = Path(__file__).parents[1] / "seeds"


@pytest.mark.parametrize(
    ("program", "attribute", "deployments", "path", "body", "answer"),
    [
        (
            "pipeline",
            "app",
            ["Preprocessor", "Model", "Postprocessor"],
            "/",
            {"data": "hello world"},
            "Final output: Inferred result: HELLO WORLD",
        ),
        (
            "single_class",
            "MyPipeline",
            ["MyPipeline"],
            "/",
            {"data": "hello world"},
            "Final output: Inferred result: HELLO WORLD",
        ),
        ("first_deployment", "my_first_deployment", ["MyFirstDeployment"], "/", None, "Hello world!"),
        ("composing", "driver", ["ModelA", "ModelB", "Driver"], "/?word=x", None, "xAxB"),
        ("basic_ingress", "app", ["MostBasicIngress"], "/", {"name": "Corey"}, "Hello Corey"),
        ("fastapi_ingress", "ingress", ["MostBasicIngress"], "/Corey", None, '"Hello Corey"'),
        ("routes", "dag", ["Adder", "Adder_1", "combine", "DAGDriver"], "/added", {"number": 2, "scale": 2}, "30"),
    ],
)
def test_a_program_of_old_serves_as_it_is(
    stage: Stage, program: str, attribute: str, deployments: list[str], path: str, body: Any, answer: str
) -> None:
    name = program.replace("_", "-")
    text = (SEEDS / f"{program}.py").read_text()
    stage.apply(
        application(
            name,
            f"{program}:{attribute}",
            code={"inline": {f"{program}.py": text}},
            deployments=[deployment(one) for one in deployments],
        )
    )
    stage.wait_ready(name)
    assert stage.answer(name, path, "" if body is None else json.dumps(body)) == answer


def test_the_graph_of_a_program_of_old_starts_and_answers_by_handle(stage: Stage) -> None:
    """Over HTTP it has no adapter, so a deployment of the test's own asks it as the program does itself."""
    text = (SEEDS / "graph.py").read_text()
    asks = """
from ray import serve
from graph import output

@serve.deployment
class Asks:
    def __init__(self, graph):
        self.graph = graph

    async def __call__(self, request):
        return await self.graph.remote(int(request.query_params["n"]))

app = Asks.bind(output)
"""
    stage.apply(
        application(
            "graph",
            "asks:app",
            code={"inline": {"graph.py": text, "asks.py": asks}},
            deployments=[deployment(one) for one in ("preprocess", "Model", "Asks")],
        )
    )
    stage.wait_ready("graph")
    assert stage.answer("graph", "/?n=1") == "4"


def test_a_graph_of_the_resource_answers_and_shows_in_the_status(stage: Stage) -> None:
    documents = list(yaml.safe_load_all((ROOT / "examples" / "graph" / "serveapplication.yaml").read_text()))
    resource = next(one for one in documents if one["kind"] == "ServeApplication")
    small = application("moderation", "moderation")["spec"]
    resource["spec"] |= {it: small[it] for it in ("workers", "proxy", "head")}
    resource["spec"]["deployments"] = [deployment(one["name"]) for one in resource["spec"]["deployments"]]
    stage.apply(*(one for one in documents if one is not resource), resource)
    stage.wait_ready("moderation")
    assert json.loads(stage.answer("moderation", "/", '{"text": "Hallo Welt", "language": "de"}')) == {
        "accepted": True,
        "length": 11,
        "rude": [],
    }
    nodes = {node["name"]: node for node in stage.get("sapp", "moderation")["status"]["graph"]}
    assert nodes["moderate"]["ready"] == nodes["moderate"]["desired"] == 6
    assert nodes["opinions"]["to"] == ["length", "rudeness"]

    resource["spec"]["graph"]["nodes"][0]["sequence"].append({"node": "moderate"})
    stage.apply(resource)
    message = "graph: node 'moderate' leads to itself; break the circle"
    eventually(lambda: message in stage.condition("moderation", "Ready").get("message", ""), 90, "the message")
    assert stage.ask("moderation", "/", "POST", '{"text": "hello"}')[0].status == 200
