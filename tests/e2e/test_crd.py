"""The CRD on a real API server: what it takes, what it refuses and in which words, and what kubectl makes of it.

Nothing here needs the operator. Where an object has to exist it is suspended, so that an operator that happens to be
there starts no pod for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import pytest

from remora_api import crd, meta
from tests.cluster.commands import CommandFailed
from tests.cluster.waiting import until
from tests.e2e.manifests.table import BAD, GOOD, SMALLEST, Bad, Good, Manifest, merged

pytestmark = [pytest.mark.cluster, pytest.mark.alone]

FILE = Path(__file__).parents[2] / f"crds/{meta.GROUP}_{meta.PLURAL}.yaml"


class Cluster(Protocol):
    """What these tests need of the cluster."""

    def kubectl(self, *words: str, input: str | None = None, check: bool = True) -> str:
        """Return what kubectl printed; raise CommandFailed when it failed."""
        ...


class Namespace:
    """kubectl in one namespace that is there for one test module only."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name

    def __call__(self, *args: str, manifest: Manifest | None = None) -> str:
        """Run kubectl, with a manifest as its file if there is one."""
        given = json.dumps(manifest) if manifest is not None else None
        file = ("-f", "-") if manifest is not None else ()
        return self.cluster.kubectl("--namespace", self.name, *args, *file, input=given)

    def json(self, *args: str, manifest: Manifest | None = None) -> Any:
        """Run kubectl and parse what it prints."""
        return json.loads(self(*args, "--output", "json", manifest=manifest))


@pytest.fixture(scope="module", autouse=True)
def nobody_acts(cluster: Cluster) -> Iterator[None]:
    """Send an operator that is installed away meanwhile: it would write the very statuses that these tests write."""
    labels = ("-A", "-l", "app.kubernetes.io/name=remora,app.kubernetes.io/component=operator")
    found = json.loads(cluster.kubectl("get", "deployments", *labels, "--output", "json"))["items"]
    names = [(it["metadata"]["namespace"], it["metadata"]["name"], it["spec"]["replicas"]) for it in found]
    for namespace, name, _ in names:
        cluster.kubectl("scale", "-n", namespace, f"deployment/{name}", "--replicas=0")
    until(
        lambda: not cluster.kubectl("get", "pods", *labels, "--output", "name").strip(),
        what="no operator runs",
        timeout_s=60,
    )
    yield
    for namespace, name, replicas in names:
        cluster.kubectl("scale", "-n", namespace, f"deployment/{name}", f"--replicas={replicas}")
        cluster.kubectl("rollout", "status", "-n", namespace, f"deployment/{name}", "--timeout=120s")


@pytest.fixture(scope="module", autouse=True)
def installed_crd(cluster: Cluster, nobody_acts: None) -> Iterator[None]:
    """Apply the CRD as a user would; take it away again unless it was there before."""
    was_there = cluster.kubectl("get", "crd", crd.NAME, "--ignore-not-found", "--output", "name").strip()
    cluster.kubectl("apply", "--filename", str(FILE))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", f"crd/{crd.NAME}")
    # What `explain` reads is published a little later.
    until(lambda: bool(cluster.kubectl("explain", meta.PLURAL, check=False)), what="sapp is explained", timeout_s=60)
    yield
    if not was_there:
        cluster.kubectl("delete", "crd", crd.NAME, "--timeout=60s")


@pytest.fixture(scope="module")
def kubectl(cluster: Cluster, installed_crd: None) -> Iterator[Namespace]:
    name = f"crd-{uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    yield Namespace(cluster, name)
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def application(kubectl: Namespace) -> Iterator[str]:
    """The name of an application that exists, and does nothing."""
    name = f"app-{uuid4().hex[:8]}"
    kubectl("create", manifest=sleeping(name))
    yield name
    kubectl("delete", "sapp", name)


def sleeping(name: str, spec: Manifest | None = None) -> Manifest:
    """Return a manifest that starts no pod."""
    made: Manifest = merged(SMALLEST, {"metadata": {"name": name}, "spec": {"suspend": True, **(spec or {})}})
    return made


def applied(kubectl: Namespace, manifest: Manifest, *flags: str) -> Any:
    return kubectl.json("apply", "--server-side", *flags, manifest=manifest)


def test_the_api_server_has_nothing_to_say_against_the_schema(cluster: Cluster) -> None:
    definition = json.loads(cluster.kubectl("get", "crd", crd.NAME, "--output", "json"))
    conditions = {it["type"]: it["status"] for it in definition["status"]["conditions"]}
    assert conditions["Established"] == "True"
    assert conditions["NamesAccepted"] == "True"
    assert conditions.get("NonStructuralSchema", "False") == "False"


def test_a_plain_apply_twice_changes_nothing(cluster: Cluster) -> None:
    assert cluster.kubectl("apply", "--filename", str(FILE)).strip().endswith("unchanged")


@pytest.mark.parametrize("row", GOOD, ids=lambda row: row.name)
def test_accepts(kubectl: Namespace, row: Good) -> None:
    kubectl("create", "--dry-run=server", "--validate=strict", manifest=row.manifest)


@pytest.mark.parametrize("row", BAD, ids=lambda row: row.name)
def test_refuses_and_names_the_field(kubectl: Namespace, row: Bad) -> None:
    with pytest.raises(CommandFailed) as refusal:
        kubectl("create", "--dry-run=server", "--validate=strict", manifest=row.manifest)
    said = refusal.value.output
    assert row.path("cluster") in said
    assert row.words("cluster") in said


ROLLOUT = {
    "strategy": "Rolling",
    "maxSurge": 1,
    "progressDeadlineSeconds": 600,
    "autoRollback": True,
    "paused": False,
}


def test_a_name_and_an_import_path_are_enough(kubectl: Namespace) -> None:
    spec = kubectl.json("create", "--dry-run=server", manifest=SMALLEST)["spec"]
    assert spec == {
        "importPath": "hello:app",
        "routePrefix": "/",
        "replicas": 1,
        "head": {"resources": {"cpu": "500m", "memory": "2Gi"}},
        "proxy": {
            "replicas": 2,
            "resources": {"cpu": "250m", "memory": "256Mi"},
            "service": {"type": "ClusterIP"},
        },
        "rollout": ROLLOUT,
        "revisionHistoryLimit": 5,
        "networkPolicy": {"enabled": True},
        "suspend": False,
    }


def test_fills_in_what_was_left_out_of_a_part(kubectl: Namespace) -> None:
    manifest = merged(SMALLEST, {"spec": {"workers": [{"name": "gpu"}], "rollout": {"maxSurge": 2}}})
    spec = kubectl.json("create", "--dry-run=server", manifest=manifest)["spec"]
    assert spec["workers"] == [
        {"name": "gpu", "minReplicas": 1, "maxReplicas": 10, "resources": {"cpu": "1", "memory": "1Gi"}}
    ]
    assert spec["rollout"] == ROLLOUT | {"maxSurge": 2}


def test_a_new_object_does_not_look_ready(kubectl: Namespace) -> None:
    """kstatus: an observedGeneration that is not the generation means in progress."""
    created = kubectl.json("create", "--dry-run=server", manifest=SMALLEST)
    assert created["metadata"]["generation"] == 1
    assert created["status"]["observedGeneration"] == -1


def test_without_strict_validation_a_misspelt_field_is_dropped(kubectl: Namespace) -> None:
    manifest = merged(SMALLEST, {"spec": {"replica": 2}})
    created = kubectl.json("create", "--dry-run=server", "--validate=ignore", manifest=manifest)
    assert "replica" not in created["spec"]


def test_free_form_fields_are_kept_to_the_letter(kubectl: Namespace) -> None:
    free = {"deep": {"er": [1, 2.5, "x", {"y": True}]}, "camelCase": 1, "snake_case": 2}
    patch = {
        "spec": {
            "args": free,
            "deployments": [{"name": "Model", "userConfig": free}],
            "head": {"podTemplate": {"spec": free}},
        }
    }
    spec = kubectl.json("create", "--dry-run=server", manifest=merged(SMALLEST, patch))["spec"]
    assert spec["args"] == spec["deployments"][0]["userConfig"] == spec["head"]["podTemplate"]["spec"] == free


def test_scales_by_the_scale_subresource(kubectl: Namespace, application: str) -> None:
    kubectl("scale", f"sapp/{application}", "--replicas=3")
    assert kubectl.json("get", "sapp", application)["spec"]["replicas"] == 3


def test_an_autoscaler_can_read_the_scale_of_an_application_nobody_has_seen(
    kubectl: Namespace, application: str
) -> None:
    path = f"/apis/{meta.API_VERSION}/namespaces/{kubectl.name}/{meta.PLURAL}/{application}/scale"
    scale = json.loads(kubectl("get", "--raw", path))
    assert scale["spec"]["replicas"] == 1
    assert scale["status"]["replicas"] == 0


def test_status_is_written_through_its_own_door_only(kubectl: Namespace, application: str) -> None:
    patch = json.dumps({"status": {"url": "http://here"}})
    args = ("patch", "sapp", application, "--type=merge", f"--patch={patch}")
    assert kubectl.json(*args)["status"].get("url") != "http://here"
    written = kubectl.json(*args, "--subresource=status")
    assert written["status"]["url"] == "http://here"
    assert written["metadata"]["generation"] == 1


def test_wait_understands_the_conditions(kubectl: Namespace, application: str) -> None:
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "Serving",
        "message": "",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    patch = json.dumps({"status": {"observedGeneration": 1, "conditions": [condition]}})
    kubectl("patch", "sapp", application, "--subresource=status", "--type=merge", f"--patch={patch}")
    kubectl("wait", "--for=condition=Ready", "--timeout=30s", f"sapp/{application}")


@pytest.mark.parametrize("word", ["sapp", "serveapplications", "serveapplication", "all", "remora"])
def test_is_listed_by_its_names_and_categories(kubectl: Namespace, application: str, word: str) -> None:
    assert application in kubectl("get", word)


def test_a_listing_has_the_columns_that_a_person_needs(kubectl: Namespace, application: str) -> None:
    assert kubectl("get", "sapp").splitlines()[0].split() == ["NAME", "READY", "REASON", "REPLICAS", "URL", "AGE"]
    assert {"REVISION", "RAY", "MESSAGE"} <= set(kubectl("get", "sapp", "--output=wide").splitlines()[0].split())


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("spec.importPath", "module:attribute"),
        ("spec.deployments.userConfig", "reconfigure"),
        ("spec.deployments.resources", "nvidia.com/gpu"),
        ("spec.workers.podTemplate.spec", "tolerations"),
        ("spec.rollout.maxSurge", "Replicas of a deployment"),
        ("status.conditions.reason", "BuildFailed"),
    ],
)
def test_explains_every_field_to_its_user(kubectl: Namespace, path: str, text: str) -> None:
    assert text in kubectl("explain", f"sapp.{path}")


def test_two_owners_of_different_deployments_do_not_disturb_each_other(kubectl: Namespace) -> None:
    name = "shared"
    try:
        applied(kubectl, sleeping(name, {"deployments": [{"name": "A", "replicas": 1}]}), "--field-manager=one")
        result = applied(
            kubectl, sleeping(name, {"deployments": [{"name": "B", "replicas": 2}]}), "--field-manager=two"
        )
        assert result["spec"]["deployments"] == [{"name": "A", "replicas": 1}, {"name": "B", "replicas": 2}]
    finally:
        kubectl("delete", "sapp", name, "--ignore-not-found")


def test_an_apply_over_defaults_gives_what_was_written_and_nothing_of_the_past(kubectl: Namespace) -> None:
    """A default that was stored belongs to no one: merged with, it would stay for ever."""
    name = "from-defaults"
    try:
        applied(kubectl, sleeping(name))
        patch = {"workers": [{"name": "big", "resources": {"cpu": 4}}], "head": {"resources": {"cpu": 1}}}
        spec = applied(kubectl, sleeping(name, patch))["spec"]
        assert [group["name"] for group in spec["workers"]] == ["big"]
        assert spec["workers"][0]["resources"] == {"cpu": 4}
        assert spec["head"]["resources"] == {"cpu": 1}
    finally:
        kubectl("delete", "sapp", name, "--ignore-not-found")


def test_a_second_look_finds_no_difference(kubectl: Namespace) -> None:
    manifest = sleeping("steady", {"workers": [{"name": "a"}], "deployments": [{"name": "Model", "replicas": 2}]})
    try:
        kubectl("apply", manifest=manifest)
        assert kubectl("diff", manifest=manifest) == ""
    finally:
        kubectl("delete", "sapp", "steady", "--ignore-not-found")
