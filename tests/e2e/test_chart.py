"""The chart by itself: what Helm thinks of it, which values it refuses, and what it installs for which values."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from demo.story import ROOT
from tests.cluster import Cluster, ClusterError

pytestmark = pytest.mark.cluster

CHART = str(ROOT / "charts" / "remora")
RIGHTS = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")


def rendered(cluster: Cluster, *sets: str) -> Counter[str]:
    """Return how many objects of which kind the chart has, as the API server understands them."""
    values = [word for each in sets for word in ("--set", each)]
    documents = cluster.helm("template", "remora", CHART, "-n", "somewhere", "--kube-version", "1.34.0", *values)
    listed = cluster.kubectl("create", "--dry-run=client", "-f", "-", "-o", "json", input=documents)
    decoder, kinds = json.JSONDecoder(), Counter[str]()
    while listed.strip():
        found, end = decoder.raw_decode(listed.strip())
        listed = listed.strip()[end:]
        kinds.update(item["kind"] for item in found.get("items", [found]))
    return kinds


def test_helm_has_nothing_to_say_against_the_chart(cluster: Cluster) -> None:
    assert "0 chart(s) failed" in cluster.helm("lint", "--strict", CHART)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("imagge.tag=x", "'imagge' not allowed"),
        ("image.tagg=x", "'tagg' not allowed"),
        ("rbac.scope=everything", "/rbac/scope"),
        ("replicas=many", "/replicas"),
        ("logLevel=loud", "/logLevel"),
    ],
)
def test_a_misspelt_or_wrong_value_is_refused_by_its_name(cluster: Cluster, value: str, said: str) -> None:
    with pytest.raises(ClusterError, match=said):
        rendered(cluster, value)


def test_the_chart_brings_the_crd_or_leaves_it_to_another_release(cluster: Cluster) -> None:
    assert rendered(cluster)["CustomResourceDefinition"] == 1
    assert rendered(cluster, "crds.install=false")["CustomResourceDefinition"] == 0


def test_an_operator_of_some_namespaces_has_no_rights_in_the_whole_cluster(cluster: Cluster) -> None:
    everywhere, here = rendered(cluster), rendered(cluster, "rbac.scope=namespace", "rbac.aggregate=false")
    assert everywhere["ClusterRoleBinding"] == 1
    assert [here[kind] > 0 for kind in RIGHTS] == [False, False, True, True]
