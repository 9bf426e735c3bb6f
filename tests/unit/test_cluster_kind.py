"""The pure parts of the kind backend: when it is used, what it lacks, and which nodes have to be started."""

from __future__ import annotations

import re

import pytest

from tests.cluster.cluster import takes_kind
from tests.cluster.commands import ClusterError
from tests.cluster.kind import CONTROL_PLANE, NAME, WORKERS, missing, stopped
from tests.cluster.recipes import REPOSITORY
from tests.cluster.topology import POD_RANGE, SERVICE_RANGE

RUNNING = dict.fromkeys((CONTROL_PLANE, *WORKERS), "running")


@pytest.mark.parametrize(
    ("asked", "reason", "kind"),
    [
        pytest.param("", None, True, id="kind where it can be used"),
        pytest.param("", "no Docker engine", False, id="else bare"),
        pytest.param("bare", None, False, id="bare was asked for"),
        pytest.param("kind", "no Docker engine", True, id="kind was asked for, and says what it lacks"),
    ],
)
def test_the_backend_is_the_one_asked_for_or_kind_where_it_can_be_used(
    asked: str, reason: str | None, kind: bool
) -> None:
    assert takes_kind(asked, lambda: reason) is kind


def test_a_backend_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ClusterError, match="REMORA_CLUSTER=minikube names no test cluster: it is `kind`, `bare`"):
        takes_kind("minikube", lambda: None)


def test_what_kind_lacks_is_said_in_one_sentence() -> None:
    assert missing(engine=True, absent=()) is None
    assert "no Docker engine answers" in str(missing(engine=False, absent=("kind",)))
    assert "kind, helm must be installed" in str(missing(engine=True, absent=("kind", "helm")))


def test_nodes_that_do_not_run_are_started() -> None:
    assert stopped(RUNNING) == ()
    assert stopped(RUNNING | {WORKERS[1]: "exited", "another": "exited"}) == (WORKERS[1],)


def test_a_cluster_that_lost_a_node_is_not_started() -> None:
    rest = {name: state for name, state in RUNNING.items() if name != WORKERS[0]}
    with pytest.raises(ClusterError, match=f"lost {WORKERS[0]}: take it down"):
        stopped(rest)


def test_the_settings_of_kind_have_the_names_and_ranges_that_tests_know() -> None:
    settings = (REPOSITORY / "kind-config.yaml").read_text()
    assert f"\nname: {NAME}\n" in settings
    assert f"podSubnet: {POD_RANGE}\n" in settings
    assert f"serviceSubnet: {SERVICE_RANGE}\n" in settings
    assert re.findall(r"^- role: (.*)$", settings, re.M) == ["control-plane", *("worker" for _ in WORKERS)]
