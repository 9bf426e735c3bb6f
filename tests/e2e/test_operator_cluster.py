"""The real API server keeps the contract that the operator relies on."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from kubernetes.client.configuration import Configuration
from kubernetes.config import load_kube_config

from remora_operator.kubernetes_api import KubernetesCluster
from tests.cluster import Cluster
from tests.e2e.conftest import stopped
from tests.fakes.cluster_contract import Api, ClusterContract


@pytest.fixture(scope="module", autouse=True)
def _nobody_else_writes(operator: Cluster) -> Iterator[None]:
    """No operator: it writes the status of a resource between a test's reading and its writing, as it should."""
    with stopped(operator):
        yield


@pytest.mark.cluster
@pytest.mark.alone
class TestKubernetesCluster(ClusterContract):
    """See the contract."""

    @pytest.fixture
    def api(self, operator: Cluster) -> Iterator[Api]:
        config = Configuration()
        load_kube_config(str(operator.kubeconfig), client_configuration=config)
        config.retries = False
        namespace = f"contract-{uuid.uuid4().hex[:6]}"
        operator.kubectl("create", "namespace", namespace)
        real = KubernetesCluster(config)
        yield real, namespace
        real.close()
        operator.kubectl("delete", "namespace", namespace, "--wait=false")
