"""Programs that go on after `serve.run`: run as scripts, and imported to be served."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from remora.graph.result import BuildFailure, BuildResult

PROGRAM = """
from ray import serve
{before}
@serve.deployment
class Greeter:
    def __call__(self):
        return "hello"

app = Greeter.bind()
handle = serve.run(app)
{after}
last = app
"""


def built(tmp_path: Path, after: str, *, attribute: str = "app", before: str = "") -> BuildResult | BuildFailure:
    (tmp_path / "program.py").write_text(PROGRAM.format(before=before, after=after))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "remora.graph.build", "--import-path", f"program:{attribute}"]
    subprocess.run([*command, "--code-dir", str(tmp_path), "--out", str(out)], check=True)
    return BuildResult.from_bytes(out.read_bytes())


@pytest.mark.parametrize(
    "after",
    [
        "import ray; assert ray.get(handle.remote()) == 'hello'",
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1:1/')",
        "import sys; sys.exit(1)",
    ],
    ids=["handle", "http", "exit"],
)
def test_what_comes_after_serve_run_may_fail_where_nothing_answers(tmp_path: Path, after: str) -> None:
    assert isinstance(built(tmp_path, after), BuildResult)


def test_what_was_not_reached_is_missing(tmp_path: Path) -> None:
    found = built(tmp_path, "raise OSError('nobody answers')", attribute="last")
    assert isinstance(found, BuildFailure)
    assert found.message.endswith(
        "module 'program' has no attribute 'last'; it has Greeter, app; it ended after its serve.run with "
        "OSError: nobody answers"
    )
    assert isinstance(built(tmp_path, "", attribute="last"), BuildResult)


def test_what_fails_before_serve_run_fails_the_import(tmp_path: Path) -> None:
    found = built(tmp_path, "", before="raise OSError('no weights')")
    assert isinstance(found, BuildFailure)
    assert "OSError: no weights" in found.message
