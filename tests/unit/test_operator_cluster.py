"""The fake API server keeps the contract that the real one keeps."""

from __future__ import annotations

import pytest

from tests.fakes.cluster import FakeCluster
from tests.fakes.cluster_contract import Api, ClusterContract


class TestFakeCluster(ClusterContract):
    """See the contract."""

    @pytest.fixture
    def api(self) -> Api:
        return FakeCluster(), "shop"
