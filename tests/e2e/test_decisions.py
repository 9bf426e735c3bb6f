"""What autoscaling decides is written nowhere that a person or a GitOps tool writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.decisions import decide
from tests.e2e.stage import Stage

pytestmark = pytest.mark.cluster


def test_after_a_thousand_decisions_kubectl_diff_and_helm_find_nothing(stage: Stage, tmp_path: Path) -> None:
    assert decide(stage, tmp_path, 1000) >= 1000
