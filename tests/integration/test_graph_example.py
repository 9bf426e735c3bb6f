"""The graph of the resource in local mode: `remora run` with the example, every call over sockets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.test_local import ROOT, ask, remora, until_served
from tests.ports import free_port

pytestmark = pytest.mark.ray


def test_the_graph_of_the_example_answers(tmp_path: Path) -> None:
    port = free_port()
    manifest = str(ROOT / "examples" / "graph" / "serveapplication.yaml")
    with remora("run", manifest, "--port", str(port), cwd=tmp_path) as process:
        until_served(process)
        status, text = ask(port, body={"text": "Hallo Welt", "language": "de"})
        assert (status, json.loads(text)) == (200, {"accepted": True, "length": 11, "rude": []})
        status, text = ask(port, body={"text": "you fool"})
        assert (status, json.loads(text)) == (200, {"accepted": False, "length": 8, "rude": ["fool"]})
