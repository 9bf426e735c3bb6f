"""What a user does with one application on a real cluster: apply it, call it, change it, break it, delete it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.apps import application, deployment
from tests.e2e.stage import Stage, eventually

pytestmark = pytest.mark.cluster


def inline(name: str, text: str, **spec: Any) -> dict[str, Any]:
    """Return an application whose code stands in its manifest."""
    return application(name, f"{name}:app", code={"inline": {f"{name}.py": text}}, **spec)


def greeter(word: str) -> str:
    """Return the module of an application that answers one word."""
    return f"""from ray import serve

@serve.deployment
class Greeter:
    def __call__(self):
        return {word!r}

app = Greeter.bind()
"""


def test_a_code_only_change_changes_the_answer_without_a_new_pod(stage: Stage) -> None:
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "code"},
        "data": {"greet.py": greeter("one")},
    }
    resource = application(
        "greet", "greet:app", code={"configMap": {"name": "code"}}, deployments=[deployment("Greeter")]
    )
    stage.apply(config_map, resource)
    stage.wait_ready("greet")
    assert stage.answer("greet") == "one"
    before = pod_uids(stage, "greet")

    with stage.load("greet", "--rate", "50", "--for", "120") as load:
        stage.apply(config_map | {"data": {"greet.py": greeter("two")}})
        eventually(lambda: stage.answer("greet") == "two", 60, "the new answer")
        stage.wait_ready("greet")
    assert load.report["failures"] == []
    assert pod_uids(stage, "greet") == before
    assert {stage.answer("greet") for _ in range(10)} == {"two"}


def test_an_import_path_that_does_not_exist_says_so_and_fixing_it_recovers(stage: Stage) -> None:
    broken = inline("wrong", greeter("fine"), deployments=[deployment("Greeter")])
    broken["spec"]["importPath"] = "wrong:missing"
    stage.apply(broken)
    condition = eventually(lambda: said(stage, "wrong", "has no attribute 'missing'"), 120, "the message")
    assert condition["status"] == "False"
    assert "wrong:missing" in condition["message"]
    assert "Stalled" in [c["type"] for c in stage.get("sapp", "wrong")["status"]["conditions"] if c["status"] == "True"]

    head, _ = stage.ask("wrong")
    assert head.status == 503
    assert int(head.headers["retry-after"]) >= 1

    broken["spec"]["importPath"] = "nowhere:app"
    stage.apply(broken)
    eventually(
        lambda: said(stage, "wrong", "ModuleNotFoundError: No module named 'nowhere'"), 60, "the traceback's end"
    )

    broken["spec"]["importPath"] = "wrong:app"
    stage.apply(broken)
    stage.wait_ready("wrong")
    assert stage.answer("wrong") == "fine"


def test_a_constructor_that_raises_is_named_with_its_last_line_and_fixing_it_recovers(stage: Stage) -> None:
    text = greeter("up").replace(
        "    def __call__", "    def __init__(self):\n        raise OSError('no model at /m')\n\n    def __call__"
    )
    stage.apply(inline("raises", text, deployments=[deployment("Greeter")]))
    condition = eventually(lambda: said(stage, "raises", "no model at /m"), 150, "the message")
    assert condition["status"] == "False"
    assert "Greeter" in condition["message"]
    assert "OSError" in condition["message"]

    stage.apply(inline("raises", greeter("up"), deployments=[deployment("Greeter")]))
    stage.wait_ready("raises")
    assert stage.answer("raises") == "up"


def test_bad_requests_get_a_reason_and_never_hang(stage: Stage) -> None:
    text = """from ray import serve

@serve.deployment
class Reader:
    def __call__(self, request):
        return request.json()["data"]

app = Reader.bind()
"""
    stage.apply(inline("reader", text, deployments=[deployment("Reader")], routePrefix="/reader"))
    stage.wait_ready("reader")
    assert stage.answer("reader", "/reader", '{"data": "x"}') == "x"
    head, reason = stage.ask("reader", "/reader", "POST", "{not json")
    assert head.status == 400
    assert "JSON" in reason
    head, reason = stage.ask("reader", "/elsewhere", "POST", "{}")
    assert head.status == 404
    assert reason
    head, reason = stage.ask("reader", "/reader", "POST", '{"other": 1}')
    assert head.status == 400
    assert "data" in reason


def test_two_applications_in_two_namespaces_do_not_meet(stage: Stage, other_stage: Stage) -> None:
    for place, word in ((stage, "here"), (other_stage, "there")):
        place.apply(inline("twin", greeter(word), deployments=[deployment("Greeter")]))
    for place, word in ((stage, "here"), (other_stage, "there")):
        place.wait_ready("twin", within_s=240)
        assert {place.answer("twin") for _ in range(5)} == {word}


def test_deleting_an_application_leaves_nothing_behind(stage: Stage) -> None:
    stage.apply(inline("gone", greeter("soon"), deployments=[deployment("Greeter")]))
    stage.wait_ready("gone")
    assert stage.get("sapp", "gone")["metadata"].get("finalizers", []) == []
    stage.kubectl("delete", "sapp", "gone", "--wait=true")
    eventually(lambda: not leftovers(stage), 90, "nothing left")


def pod_uids(stage: Stage, name: str) -> set[str]:
    """Return the uids of all pods of an application."""
    return {pod["metadata"]["uid"] for pod in stage.list("pods", application=name)}


def said(stage: Stage, name: str, words: str) -> dict[str, Any]:
    """Return the Ready condition once its message holds the words."""
    condition = stage.condition(name, "Ready")
    return condition if words in condition.get("message", "") else {}


def leftovers(stage: Stage) -> list[str]:
    """Return what is in the namespace beside what every namespace has."""
    kinds = (
        "pods,services,configmaps,secrets,serviceaccounts,deployments,statefulsets,replicasets,pvc,pdb,"
        "networkpolicies,controllerrevisions,endpointslices,sapp"
    )
    found = json.loads(stage.kubectl("get", kinds, "-o", "json"))["items"]
    names = [f"{item['kind']}/{item['metadata']['name']}" for item in found]
    return [name for name in names if name not in ("ConfigMap/kube-root-ca.crt", "ServiceAccount/default")]
