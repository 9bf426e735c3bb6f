"""Fixtures of the end-to-end tests: the operator installed once, a namespace of its own for each test."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from demo.ground import Ground
from demo.story import SYSTEM, install
from tests.cluster import Cluster
from tests.cluster.fixtures import cluster
from tests.e2e.scene import scene
from tests.e2e.stage import Stage, eventually

__all__ = ["cluster"]

_FAILED = pytest.StashKey[bool]()

TESTS = "remora.dev/test"
"""Label of the namespaces that tests make; its value is the session, so that two sessions leave each other alone."""
SESSION = uuid.uuid4().hex[:8]


@pytest.fixture(scope="session")
def operator(cluster: Cluster) -> Iterator[Cluster]:
    """The operator, installed with Helm from this checkout as the demo installs it; gives its cluster.

    Tests stop the operator and fill the nodes, so a second session on the same cluster waits for the first.
    """
    with cluster.claimed():
        install(Ground(cluster))
        # What a session that was killed has left: whoever has the claim is alone, so nobody uses it.
        cluster.kubectl("delete", "namespaces", "-l", f"{TESTS},{TESTS}!={SESSION}", "--wait=false")
        eventually(lambda: not _pods_left(cluster), 180, "no pod of earlier tests, which would fill the nodes")
        yield cluster
        eventually(lambda: not _pods_left(cluster), 180, "no pod of these tests")


def _pods_left(cluster: Cluster) -> list[str]:
    """Return the pods in the namespaces of tests, all of which are being deleted.

    The namespaces themselves are not waited for: an API server that found pods in one looks again only after half of
    their longest grace period, for heads and workers most of a minute after the last of them has gone.
    """
    words = ("get", "namespaces", "-l", TESTS, "-o", "name")
    names = [it.removeprefix("namespace/") for it in cluster.kubectl(*words).split()]
    return [it for name in names for it in cluster.kubectl("get", "pods", "-n", name, "-o", "name").split()]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep whether a test failed, for the fixtures that show what it left behind."""
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report


@pytest.fixture
def stage(operator: Cluster, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """A namespace under Pod Security `restricted`, gone after the test; a failed test shows what is in it."""
    with namespace(operator) as name:
        yield Stage(operator, name)
        if request.node.stash.get(_FAILED, False):
            print(scene(operator, name))


@pytest.fixture
def other_stage(operator: Cluster) -> Iterator[Stage]:
    """A second such namespace."""
    with namespace(operator) as name:
        yield Stage(operator, name)


@pytest.fixture
def absent_operator(operator: Cluster) -> Callable[[], AbstractContextManager[Callable[[], float]]]:
    """A context in which no operator runs: scaled to 0, and its Lease older than its duration."""

    def lease_age_s() -> float:
        lease = json.loads(operator.kubectl("get", "lease", "-n", SYSTEM, "-o", "json"))["items"][0]
        renewed = datetime.fromisoformat(lease["spec"]["renewTime"])
        return (datetime.now(UTC) - renewed).total_seconds()

    @contextmanager
    def absent() -> Iterator[Callable[[], float]]:
        with stopped(operator):
            eventually(lambda: lease_age_s() > 15, 60, "an old Lease")
            yield lease_age_s

    return absent


@contextmanager
def stopped(cluster: Cluster) -> Iterator[None]:
    """No operator runs in this context."""
    selector = "app.kubernetes.io/name=remora,app.kubernetes.io/component=operator"

    def pods() -> list[Any]:
        return list(json.loads(cluster.kubectl("get", "pods", "-n", SYSTEM, "-l", selector, "-o", "json"))["items"])

    name = cluster.kubectl("get", "deployment", "-n", SYSTEM, "-o", "name").strip()
    cluster.kubectl("scale", "-n", SYSTEM, name, "--replicas=0")
    try:
        eventually(lambda: not pods(), 60, "no operator pod")
        yield
    finally:
        cluster.kubectl("scale", "-n", SYSTEM, name, "--replicas=2")
        cluster.kubectl("rollout", "status", "-n", SYSTEM, name, "--timeout=120s")


@contextmanager
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace with the label of this session's tests."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted", TESTS: SESSION}
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    cluster.kubectl("apply", "-f", "-", input=json.dumps(manifest))
    try:
        yield name
    finally:
        # Its pods drain in their own time; `operator` waits for the last of them.
        cluster.kubectl("delete", "namespace", name, "--wait=false")
