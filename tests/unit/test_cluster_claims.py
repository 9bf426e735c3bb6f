"""Who has the test cluster for himself is not left without it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.commands import ClusterError


def cluster(folder: Path, gone: list[str]) -> Cluster:
    backend: Any = SimpleNamespace(kubeconfig=folder / "kubeconfig", down=lambda: gone.append("down"))
    return Cluster(backend, folder / "lock")


def test_it_is_taken_down_when_nobody_has_it_before_and_after_somebody_had(tmp_path: Path) -> None:
    gone: list[str] = []
    cluster(tmp_path, gone).down()
    with cluster(tmp_path, gone).claimed():
        pass
    cluster(tmp_path, gone).down()
    assert gone == ["down", "down"]


def test_it_stays_while_somebody_has_it(tmp_path: Path) -> None:
    gone: list[str] = []
    with cluster(tmp_path, gone).claimed(), pytest.raises(ClusterError, match=r"claim\).*wait for its end"):
        cluster(tmp_path, gone).down()
    assert gone == []
