"""The README's first command."""

from __future__ import annotations

import pytest

from demo.ground import Ground
from demo.story import NAMESPACE, tell
from tests.cluster import Cluster

pytestmark = pytest.mark.cluster

ANSWER = "Final output: Inferred result: HELLO WORLD"


def test_the_demo_installs_applies_waits_and_gets_the_pipelines_answer(operator: Cluster) -> None:
    try:
        assert tell(Ground(operator)) == ANSWER
    finally:
        operator.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=true", "--timeout=120s")
