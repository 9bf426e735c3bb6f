"""Fixtures of the end-to-end tests: the operator installed once, a namespace of its own for each test.

A test that stops or replaces the operator, or fills the nodes, is marked `alone`. One pytest process has the cluster
for itself and need not care. Several share it by `--session=NAME`: whoever starts them has claimed the cluster, and
runs the tests marked `alone` beside no others.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
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
PROCESS = "remora.dev/test-process"
"""Label of such namespaces: the pytest process, one of perhaps several in a session."""
READY_FOR = "remora.dev/ready-for-tests"
"""Annotation of the operator's namespace: the session for which it was installed."""
SESSION = uuid.uuid4().hex[:8]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let several pytest processes share the cluster."""
    parser.addoption(
        "--session",
        default="",
        metavar="NAME",
        help="share the cluster with other pytest processes of that session; who starts them has claimed the cluster, "
        "and keeps the tests marked `alone` apart",
    )


@pytest.fixture(scope="session")
def session(request: pytest.FixtureRequest) -> str:
    """The session that namespaces of tests belong to."""
    return str(request.config.getoption("--session", default="")) or SESSION


@pytest.fixture(scope="session")
def operator(cluster: Cluster, session: str) -> Iterator[Cluster]:
    """The operator, installed with Helm from this checkout as the demo installs it; gives its cluster.

    Tests stop the operator and fill the nodes, so a second session on the same cluster waits for the first.
    """
    with cluster.claimed() if session == SESSION else nullcontext():
        if _ready_for(cluster) != session:
            install(Ground(cluster))
            # What a session that was killed has left: whoever has the claim is alone, so nobody uses it.
            earlier = f"{TESTS},{TESTS}!={session}"
            cluster.kubectl("delete", "namespaces", "-l", earlier, "--wait=false")
            no_pods(cluster, earlier)
            cluster.kubectl("annotate", "namespace", SYSTEM, f"{READY_FOR}={session}", "--overwrite")
        yield cluster
        no_pods(cluster, f"{PROCESS}={SESSION}")


def _ready_for(cluster: Cluster) -> str:
    """Return the session for which the operator was installed last; empty without one."""
    found = cluster.kubectl("get", "namespace", SYSTEM, "--ignore-not-found", "-o", "json")
    return str(json.loads(found)["metadata"].get("annotations", {}).get(READY_FOR, "")) if found.strip() else ""


def no_pods(cluster: Cluster, selector: str) -> None:
    """Wait until there is no pod in the namespaces with those labels, all of which are being deleted.

    The namespaces themselves are not waited for: an API server that found pods in one looks again only after half of
    their longest grace period, for heads and workers most of a minute after the last of them has gone.
    """

    def left() -> list[str]:
        words = ("get", "namespaces", "-l", selector, "-o", "name")
        names = [it.removeprefix("namespace/") for it in cluster.kubectl(*words).split()]
        return [it for name in names for it in cluster.kubectl("get", "pods", "-n", name, "-o", "name").split()]

    eventually(lambda: not left(), 180, f"no pod in the namespaces of {selector}, which would fill the nodes")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep whether a test failed, for the fixtures that show what it left behind."""
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report


@pytest.fixture
def stage(operator: Cluster, session: str, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """A namespace under Pod Security `restricted`, gone after the test; a failed test shows what is in it."""
    with namespace(operator, session) as name:
        yield Stage(operator, name)
        if request.node.stash.get(_FAILED, False):
            print(scene(operator, name))


@pytest.fixture
def other_stage(operator: Cluster, session: str) -> Iterator[Stage]:
    """A second such namespace."""
    with namespace(operator, session) as name:
        yield Stage(operator, name)


@pytest.fixture
def absent_operator(
    operator: Cluster, request: pytest.FixtureRequest
) -> Callable[[], AbstractContextManager[Callable[[], float]]]:
    """A context in which no operator runs: scaled to 0, and its Lease older than its duration."""
    assert request.node.get_closest_marker("alone"), "others have no operator meanwhile: mark the test `alone`"

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
def namespace(cluster: Cluster, session: str = SESSION) -> Iterator[str]:
    """A namespace with the label of this session's tests."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted", TESTS: session, PROCESS: SESSION}
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    cluster.kubectl("apply", "-f", "-", input=json.dumps(manifest))
    try:
        yield name
    finally:
        # Its pods drain in their own time; `operator` waits for the last of them.
        cluster.kubectl("delete", "namespace", name, "--wait=false")
