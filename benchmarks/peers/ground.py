"""What a page says of where it was measured."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.machine import processor
from tests.cluster import Cluster
from tests.e2e.page import machine


def host() -> str:
    """Return the machine under the cluster."""
    return f"a machine of {machine()} ({processor(Path('/proc/cpuinfo').read_text())}), its load generator included"


def kubernetes(cluster: Cluster) -> str:
    """Return the version of the API server."""
    return str(json.loads(cluster.kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"])
