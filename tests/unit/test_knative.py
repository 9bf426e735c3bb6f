"""The comparison with Knative: what is applied, what is seen and counted, and the page."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.knative import images, manifests, system
from benchmarks.knative.manifests import Wanted
from benchmarks.knative.page import SIDES, page
from benchmarks.knative.rows import BY_KEY, ROWS, Row, counted, medians
from benchmarks.knative.side import moment, process
from benchmarks.knative.timeline import Timeline
from benchmarks.peers.record import Entry
from benchmarks.peers.traffic import Answer

FIRST = {"first_s": [1.5, 1.25, 9.0], "parts": {"pod created": 0.2, "answered": 1.5}, "leaving_s": [12.0], "gone_s": []}
MANY = {"requests": 200, "failed": 1, "why": {"503 no": 1}, "first_s": [1.0, 2.0], "last_s": [2.0, 3.0]}


def entry(row: str, side: str, **figures: object) -> Entry:
    return Entry("2026-11-22 14:00", "abc1234", side, row, figures)


def line(text: str, title: str) -> list[str]:
    found = next(it for it in text.splitlines() if it.startswith(f"| {title} |"))
    return [it.strip() for it in found.split("|")[2:-1]]


def test_a_median_comes_with_all_that_it_is_of() -> None:
    text = page([entry("first", "Knative", **FIRST)], ["2 cores"], "What it shows.")
    assert line(text, BY_KEY["first"].title) == ["**1.50 s** (1.50, 1.25, 9.00)", "not measured", "not measured"]
    assert line(text, "its last answer → the pod has gone")[0] == "not seen"
    assert "* Knative: pod created 0.2, answered 1.5" in text
    assert "What it shows." in text


def test_the_page_says_what_failed_and_what_has_no_figures() -> None:
    broken = Entry("2026-11-22 14:00", "abc1234", "Remora", "hundred", error="AssertionError: a | b\nmore")
    text = page([entry("hundred", "Knative", **MANY), broken], [], "")
    knative, remora, _ = line(text, BY_KEY["hundred"].title)
    assert knative == "**1** of 200 failed; first answer 1.5 s (1.0, 2.0), last 2.5 s (2.0, 3.0)"
    assert remora == "no figures: AssertionError: a / b"
    assert "* 100 first requests at once, Knative: 1 × `503 no`" in text


@pytest.mark.parametrize("row", [it for it in ROWS if it.only], ids=lambda it: it.key)
def test_a_row_of_one_side_leaves_the_others_out(row: Row) -> None:
    cells = dict(zip(SIDES, line(page([], [], ""), row.title), strict=True))
    assert {side for side, cell in cells.items() if cell == "–"} == set(SIDES) - {row.only}


def test_all_sides_get_the_same_of_everything() -> None:
    wanted = Wanted(constructor_s=3)
    (application,), (configuration,) = manifests.remora(wanted, "app = 1", "Zero"), manifests.knative(wanted)
    (container,) = configuration["spec"]["template"]["spec"]["containers"]
    (group,) = application["spec"]["workers"]
    assert application["spec"]["scaleToZero"] == {"idleSeconds": manifests.IDLE_S, "head": "Zero"}
    assert system.SETTINGS["config-autoscaler"]["stable-window"] == f"{manifests.IDLE_S}s"
    assert container["env"] == application["spec"]["env"] == [{"name": "CONSTRUCTOR_S", "value": "3"}]
    assert container["resources"]["requests"]["cpu"] == group["resources"]["cpu"]
    assert application["spec"]["proxy"]["replicas"] == system.ACTIVATORS


def test_the_activator_leaves_the_path_only_where_that_is_asked_for() -> None:
    def annotations(wanted: Wanted) -> dict[str, str]:
        return dict(manifests.knative(wanted)[0]["spec"]["template"]["metadata"]["annotations"])

    burst = {"autoscaling.knative.dev/target-burst-capacity": "0"}
    assert annotations(Wanted(direct=True)) == annotations(Wanted()) | burst


TEXTS = (
    """
apiVersion: apps/v1
kind: Deployment
metadata: {name: activator}
spec: {template: {spec: {containers: [{image: ko://knative.dev/serving/cmd/activator}]}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: config-deployment}
data: {queue-sidecar-image: ko://knative.dev/serving/cmd/queue}
---
""",
    "kind: HorizontalPodAutoscaler\nmetadata: {name: activator}\n",
    "kind: CustomResourceDefinition\nmetadata: {name: images.caching.internal.knative.dev}\n",
    "kind: Namespace\nmetadata: {name: knative-serving}\n",
)


def test_knatives_manifests_are_applied_with_our_images_and_settings() -> None:
    namespace, definition, deployment, settings = system.objects(TEXTS)
    assert (namespace["kind"], definition["kind"]) == ("Namespace", "CustomResourceDefinition")
    assert deployment["spec"]["replicas"] == system.ACTIVATORS
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"dev.local/knative-activator:{images.KNATIVE}"
    assert settings["data"]["queue-sidecar-image"] == images.knative("queue")
    assert images.USER.partition("/")[0] in settings["data"]["registries-skipping-tag-resolving"]


def pod(uid: str, **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "zero-0", "uid": uid}, "status": status}


def true(*types: str) -> list[dict[str, str]]:
    return [{"type": it, "status": "True"} for it in types]


def test_a_pods_steps_are_the_moments_in_which_they_were_seen_first() -> None:
    seen = Timeline(lambda it: "pod")
    running: dict[str, Any] = {"state": {"running": {}}}
    waiting: dict[str, Any] = {"state": {"waiting": {}}}
    seen.take({"type": "ADDED", "object": pod("old", conditions=true("PodScheduled", "Ready"))}, 99)
    for now, status in (
        (101, {}),
        (102, {"conditions": true("PodScheduled")}),
        (103, {"conditions": true("PodScheduled"), "containerStatuses": [running, waiting]}),
        (104, {"conditions": true("PodScheduled"), "containerStatuses": [running, running]}),
        (105, {"conditions": true("PodScheduled", "Ready"), "containerStatuses": [running, running]}),
        (109, {"conditions": true("PodScheduled", "Ready"), "containerStatuses": [running, running]}),
    ):
        seen.take({"type": "MODIFIED", "object": pod("new", **status)}, now)
    assert seen.since(100, "pod") == {"created": 1, "scheduled": 2, "started": 4, "ready": 5}
    assert seen.since(102, "pod") == {}
    gone = pod("new")
    gone["metadata"]["deletionTimestamp"] = "now"
    seen.take({"type": "MODIFIED", "object": gone}, 120)
    seen.take({"type": "DELETED", "object": gone}, 150)
    assert (seen.when("leaving", "pod", 100), seen.when("gone", "pod", 100)) == (120, 150)
    assert seen.when("gone", "pod", 151) is None


def test_parts_are_medians_of_what_every_round_has_in_the_order_of_time() -> None:
    rounds = [{"answered": 5, "ready": 4, "created": 1}, {"answered": 7, "created": 3, "ready": 6, "rare": 1}]
    assert list(medians(rounds).items()) == [("created", 2), ("ready", 5), ("answered", 6)]
    assert medians([]) == {}


def test_failures_are_counted_by_what_was_answered() -> None:
    good, bad = Answer(10.0, 11.5, 200, "a"), Answer(10.0, 10.1, 503, "no")
    figures = counted([[good, Answer(10.0, 13.0, 200, "a"), bad], [bad]])
    assert (figures["requests"], figures["failed"], figures["why"]) == (4, 2, {"503 no": 2})
    assert (figures["first_s"], figures["last_s"]) == ([1.5], [3.0])


def test_processes_of_a_worker_pod_are_known_by_their_commands() -> None:
    assert (
        process("/opt/venv/lib/python3.11/site-packages/ray/core/src/ray/raylet/raylet --store x") == "raylet's process"
    )
    assert process("python -m remora.lean_ray start --block") == "`ray start`'s process"
    assert process("ray::Replica.run") == "replica's process"
    assert process("ray::IDLE") == process("python -m remora worker") == process("") == ""


def test_kubernetes_writes_nanoseconds_or_none() -> None:
    assert moment("1970-01-01T00:00:01.123456789Z") == pytest.approx(1.123456)
    assert moment("1970-01-01T00:00:02Z") == 2.0
