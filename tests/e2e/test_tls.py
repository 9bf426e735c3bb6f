"""HTTPS at the Service, with the certificate of a Secret, and with the one that takes its place."""

from __future__ import annotations

import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.apps import application, deployment
from tests.e2e.stage import Stage, eventually
from tests.fakes.certificates import Pair, pair

pytestmark = pytest.mark.cluster

CODE = """from ray import serve

@serve.deployment
class Greeter:
    def __call__(self, request):
        return request.url.scheme

app = Greeter.bind()
"""


def test_https_is_served_and_a_renewed_certificate_needs_no_restart(stage: Stage, tmp_path: Path) -> None:
    first, second = (pair(tmp_path, name) for name in ("first", "second"))
    resource = application(
        "greet",
        "greet:app",
        code={"inline": {"greet.py": CODE}},
        deployments=[deployment("Greeter")],
        proxy={"replicas": 1, "tls": {"secretName": "certificate"}},
    )
    stage.apply(secret(first), resource)
    stage.wait_ready("greet")
    address = stage.address("greet")
    assert address.endswith(":443")
    assert stage.get("sapp", "greet")["status"]["url"].startswith("https://")
    assert ask(stage, f"https://{address}/") == "https"
    assert shown(stage, address) == der(first)
    assert ask(stage, f"http://{address}/") == "", "nothing is answered in the clear"

    pods = {it["metadata"]["uid"] for it in stage.list("pods", application="greet")}
    stage.apply(secret(second))
    # The kubelet looks at Secrets about once a minute.
    eventually(lambda: shown(stage, address) == der(second), 180, "the renewed certificate")
    assert ask(stage, f"https://{address}/") == "https"
    assert {it["metadata"]["uid"] for it in stage.list("pods", application="greet")} == pods


def secret(pair: Pair) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": "certificate"},
        "stringData": {"tls.crt": pair.certificate.read_text(), "tls.key": pair.key.read_text()},
    }


ASK = """import ssl, sys, urllib.request
unchecked = ssl._create_unverified_context()
print(urllib.request.urlopen(sys.argv[1], timeout=10, context=unchecked).read().decode())
"""
SHOW = "import ssl, sys; print(ssl.get_server_certificate((sys.argv[1], int(sys.argv[2])), timeout=10))"


def ask(stage: Stage, url: str) -> str:
    """Return the text of an answer; empty when there is none. Certificates are compared elsewhere."""
    return run(stage, sys.executable, "-c", ASK, url)


def shown(stage: Stage, address: str) -> bytes:
    """Return the certificate that a client is shown; empty when it is shown none."""
    text = run(stage, sys.executable, "-c", SHOW, *address.rsplit(":", 1))
    return ssl.PEM_cert_to_DER_cert(text) if text else b""


def der(pair: Pair) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pair.certificate.read_text())


def run(stage: Stage, *argv: str) -> str:
    done = subprocess.run(stage.cluster.command(*argv), capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip()
