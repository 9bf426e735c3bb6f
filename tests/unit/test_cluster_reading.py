"""Reading from an API server by a kept connection: what there is, what is not, and a connection that has ended."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.commands import ClusterError
from tests.cluster.reading import Reader
from tests.fakes.certificates import Pair, pair

OBJECTS: dict[str, tuple[int, Any]] = {
    "/pods/a": (200, {"kind": "Pod"}),
    "/pods?labelSelector=a%3Db%2Cc": (200, {"items": []}),
    "/pods/none": (404, {"kind": "Status"}),
    "/broken": (500, {"message": "etcd is away"}),
}


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    connections: set[object]
    drops = False

    def do_GET(self) -> None:
        self.connections.add(self.connection)
        status, found = OBJECTS[self.path]
        body = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        # Without a word, as a server that is restarted.
        self.close_connection = self.drops

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def certificate(tmp_path: Path) -> Pair:
    return pair(tmp_path)


@pytest.fixture
def server(certificate: Pair) -> Iterator[ThreadingHTTPServer]:
    handler = type("Handler", (Answers,), {"connections": set()})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def kubeconfig(folder: Path, server: ThreadingHTTPServer, certificate: Pair, *, inside: bool) -> Path:
    files = {
        "certificate-authority": certificate.certificate,
        "client-certificate": certificate.certificate,
        "client-key": certificate.key,
    }
    given = (
        {f"{key}-data": base64.b64encode(it.read_bytes()).decode() for key, it in files.items()}
        if inside
        else {key: str(it) for key, it in files.items()}
    )
    cluster = {key: it for key, it in given.items() if "authority" in key}
    user = {key: it for key, it in given.items() if "client" in key}
    address = f"https://127.0.0.1:{server.server_address[1]}"
    path = folder / "kubeconfig"
    path.write_text(json.dumps({"clusters": [{"cluster": cluster | {"server": address}}], "users": [{"user": user}]}))
    return path


@pytest.mark.parametrize("inside", [False, True], ids=["files", "in the kubeconfig"])
def test_what_is_there_is_read_on_one_connection(
    tmp_path: Path, server: ThreadingHTTPServer, certificate: Pair, inside: bool
) -> None:
    reader = Reader(kubeconfig(tmp_path, server, certificate, inside=inside))
    assert reader.read("/pods/a") == {"kind": "Pod"}
    assert reader.read("/pods", labelSelector="a=b,c") == {"items": []}
    assert reader.read("/pods/none") is None
    assert len(server.RequestHandlerClass.connections) == 1  # type: ignore[attr-defined]  # the handler of above


def test_what_the_server_refuses_is_an_error_with_its_words(
    tmp_path: Path, server: ThreadingHTTPServer, certificate: Pair
) -> None:
    reader = Reader(kubeconfig(tmp_path, server, certificate, inside=False))
    with pytest.raises(ClusterError, match=r"GET /broken: 500 .*etcd is away"):
        reader.read("/broken")


def test_a_connection_that_has_ended_meanwhile_is_replaced(
    tmp_path: Path, server: ThreadingHTTPServer, certificate: Pair
) -> None:
    server.RequestHandlerClass.drops = True  # type: ignore[attr-defined]  # the handler of above
    reader = Reader(kubeconfig(tmp_path, server, certificate, inside=False))
    for _ in range(3):
        assert reader.read("/pods/a") == {"kind": "Pod"}
    assert len(server.RequestHandlerClass.connections) == 3  # type: ignore[attr-defined]  # the handler of above
