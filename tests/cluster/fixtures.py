"""Fixtures: `cluster`, for tests that need a real Kubernetes.

A test package takes it with `pytest_plugins = ["tests.cluster.fixtures"]`.
"""

from __future__ import annotations

import pytest

from .cluster import Cluster, running
from .settings import Settings


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The cluster, up and with our images as they are in the working tree; it stays up afterwards.

    Where the machine cannot host one the tests are skipped with the reason, or fail with it
    if `REMORA_REQUIRE_CLUSTER=1`.
    """
    settings = Settings.read()
    found = running(settings)
    reason = found.missing()
    if reason is not None:
        give_up = pytest.fail if settings.required else pytest.skip
        give_up(f"no test cluster here: {reason}")
    found.up()
    return found
