"""The README's first command; and the same manifest in local mode gives the same answers as on the cluster."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from demo.ground import Ground
from demo.story import HELLO, ROOT, remove_application, tell
from tests.cluster import Cluster
from tests.e2e.stage import Stage, eventually
from tests.ports import free_port

pytestmark = [pytest.mark.cluster, pytest.mark.alone]

ANSWER = "Final output: Inferred result: HELLO WORLD"

QUESTIONS = (
    ("POST", "/", '{"data": "hello world"}'),
    ("POST", "/", '{"data": "Ünïcode ☃"}'),
    ("POST", "/", '{"data": ""}'),
    ("POST", "/", '{"other": 1}'),
    ("POST", "/", "{not json"),
    ("GET", "/", ""),
    ("POST", "/", '["a list"]'),
    ("GET", "/-/healthz", ""),
    ("GET", "/-/routes", ""),
)


def test_the_demo_installs_applies_waits_and_gets_the_pipelines_answer(operator: Cluster) -> None:
    try:
        assert tell(Ground(operator)) == ANSWER
    finally:
        remove_application(Ground(operator))


def test_local_mode_gives_the_same_answers_as_the_cluster(stage: Stage) -> None:
    stage.kubectl("apply", "-f", str(HELLO))
    stage.wait_ready("hello")
    on_the_cluster = {}
    for method, path, body in QUESTIONS:
        head, text = stage.ask("hello", path, method, body)
        on_the_cluster[method, path, body] = (head.status, head.headers.get("content-type"), text)
    with remora_run() as url:
        here = {question: ask(url, *question) for question in QUESTIONS}
    assert here == on_the_cluster
    assert here[QUESTIONS[0]][::2] == (200, ANSWER)
    assert here[QUESTIONS[4]][0] == 400


@contextmanager
def remora_run() -> Iterator[str]:
    """Run examples/hello in local mode; yields its URL."""
    port = free_port()
    argv = [sys.executable, "-m", "remora", "run", str(HELLO), "--port", str(port)]
    with subprocess.Popen(argv, cwd=ROOT) as running:
        try:
            url = f"http://127.0.0.1:{port}"
            eventually(lambda: running.poll() is None and ask(url, *QUESTIONS[0])[0] == 200, 90, "local mode answers")
            yield url
        finally:
            running.terminate()
            running.wait(timeout=60)


def ask(url: str, method: str, path: str, body: str) -> tuple[int, str | None, str]:
    """Return status, content type and text of one answer; status 0 when nothing listens."""
    headers = {"Content-Type": "application/json"} if body else {}
    request = urllib.request.Request(url + path, body.encode() or None, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.headers["content-type"], response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["content-type"], error.read().decode()
    except OSError as error:
        return 0, None, str(error)
