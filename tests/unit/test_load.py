"""The load generator of the cluster's tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOBODY = "http://127.0.0.1:9"


def started(*options: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "tests.load", NOBODY, "--rate", "5", "--connections", "1", *options]
    return subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def test_it_ends_when_nobody_is_left_to_read_its_figures() -> None:
    with started("--for", "600") as load:
        try:
            assert load.stdout is not None
            load.stdout.close()
            load.wait(timeout=30)
        finally:
            load.kill()


def test_what_is_not_answered_is_counted_and_told() -> None:
    with started("--for", "0.5") as load:
        said, _ = load.communicate(timeout=30)
    figures = json.loads(said)
    assert figures["failed"] == figures["requests"] > 0
