"""Reading: objects of the API server, by a kept connection.

What tests look at again and again until it is as wanted: a kubectl for each look takes a tenth of a second of CPU,
which on two cores is most of what waiting costs.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import tempfile
import threading
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import yaml

from .commands import ClusterError

PATIENCE_S = 30


class Reader:
    """GET at one API server, with what its kubeconfig says. Each thread has a connection of its own."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig
        self._own = threading.local()

    def read(self, path: str, **parameters: str) -> dict[str, Any] | None:
        """Return the object at a path, as `/api/v1/namespaces/a/pods`; None if there is none.

        Raises ClusterError with what the API server said, and OSError when it cannot be reached.
        """
        target = f"{path}?{urlencode(parameters)}" if parameters else path
        try:
            status, body = self._get(target)
        except (http.client.HTTPException, ConnectionError):
            # A kept connection may have ended since; what is only read may be asked for again.
            self._own.connection.close()
            status, body = self._get(target)
        if status == http.HTTPStatus.NOT_FOUND:
            return None
        if status != http.HTTPStatus.OK:
            raise ClusterError(f"GET {target}: {status} {body.decode(errors='replace')[:500]}")
        return dict(json.loads(body))

    def _get(self, target: str) -> tuple[int, bytes]:
        if not hasattr(self._own, "connection"):
            server = urlsplit(self._cluster["server"])
            self._own.connection = http.client.HTTPSConnection(
                server.hostname or "", server.port, timeout=PATIENCE_S, context=self._context
            )
        connection: http.client.HTTPSConnection = self._own.connection
        connection.request("GET", target, headers={"Accept": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()

    @cached_property
    def _config(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = yaml.safe_load(self._kubeconfig.read_text())
        return found

    @property
    def _cluster(self) -> Mapping[str, Any]:
        cluster: Mapping[str, Any] = self._config["clusters"][0]["cluster"]
        return cluster

    @cached_property
    def _context(self) -> ssl.SSLContext:
        user = self._config["users"][0]["user"]
        with tempfile.TemporaryDirectory() as folder:

            def file(of: Mapping[str, Any], key: str) -> str:
                """Return the path of a certificate or key; kind's stand in the kubeconfig itself, in base64."""
                if key in of:
                    return str(of[key])
                made = Path(folder, key)
                made.write_bytes(base64.b64decode(of[f"{key}-data"]))
                return str(made)

            context = ssl.create_default_context(cafile=file(self._cluster, "certificate-authority"))
            context.load_cert_chain(file(user, "client-certificate"), file(user, "client-key"))
        return context
