"""What the demo makes of Helm's words about releases that nobody has ended."""

from __future__ import annotations

import json

import pytest

from demo import release
from demo.release import Interrupted

SINCE = "2026-11-22 09:40:00.159364555 +0000 UTC"


def entry(name: str, status: str, revision: str = "1") -> dict[str, str]:
    return {
        "name": name, "namespace": "remora-system", "revision": revision, "updated": SINCE, "status": status,
        "chart": "remora-0.1.0", "app_version": "0.1.0",
    }  # fmt: skip


class Cluster:
    """Only what `release` asks of a cluster."""

    kubectl_hint = place_hint = ""

    def __init__(self, listed: str) -> None:
        self.listed = listed
        self.deleted: list[tuple[str, ...]] = []

    def helm(self, *arguments: str) -> str:
        assert arguments[0] == "list"
        return self.listed

    def kubectl(self, *arguments: str) -> str:
        self.deleted.append(arguments)
        return ""


@pytest.mark.parametrize("listed", ["", "[]\n", json.dumps([entry("remora", "deployed")])])
def test_a_release_that_is_not_pending_is_left_alone(listed: str) -> None:
    cluster = Cluster(listed)
    assert release.unlock(cluster, "remora-system") == []  # type: ignore[arg-type]  # the rest is not asked for
    assert cluster.deleted == []


@pytest.mark.parametrize("state", release.PENDING)
def test_the_record_of_the_pending_revision_goes_and_no_other(state: str) -> None:
    cluster = Cluster(json.dumps([entry("remora", state, "7"), entry("remora-small", state)]))
    found = release.unlock(cluster, "remora-system")  # type: ignore[arg-type]  # the rest is not asked for
    assert found == [Interrupted("remora", "7", state, SINCE)]
    (command,) = cluster.deleted
    assert command[:5] == ("delete", "secret", "--namespace", "remora-system", "--selector")
    assert command[5] == "owner=helm,name=remora,version=7,status in (pending-install,pending-upgrade,pending-rollback)"
    assert str(found[0]) == f"release remora has been {state} at revision 7 since {SINCE}"


def test_values_are_strings_for_helm_also_where_they_look_like_numbers() -> None:
    given = release.settings({"podAnnotations.sources": "0123456789012345", "image.tag": "dev"})
    assert given == ["--set-string", "podAnnotations.sources=0123456789012345", "--set-string", "image.tag=dev"]


@pytest.mark.parametrize(
    ("listed", "there"), [("remora\nremora-small\n", True), ("remora-small\n", False), ("", False)]
)
def test_only_the_release_of_that_name_is_uninstalled(listed: str, there: bool) -> None:
    assert release.exists(Cluster(listed), "remora-system") is there  # type: ignore[arg-type]  # as above
