"""What tests call an application with: handles, and HTTP by the standard library alone."""

from __future__ import annotations

import asyncio
import json as json_module
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from remora.handle import DeploymentHandle

TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, whole."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    content: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode()

    def json(self) -> Any:
        """Return the body read as JSON; raise ValueError when it is none."""
        return json_module.loads(self.content)


class Client:
    """Calls one application. `url` is for clients of other kinds: httpx, requests, a WebSocket library."""

    def __init__(self, base_url: str, application: str, route_prefix: str) -> None:
        self.application = application
        self.url = base_url + route_prefix.rstrip("/")

    def request(
        self,
        method: str,
        path: str = "/",
        *,
        params: Mapping[str, Any] | Sequence[tuple[str, Any]] | None = None,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Answer:
        """Send a request to a path below the application's prefix, and return the answer, whatever its status is."""
        given = {name.lower(): value for name, value in (headers or {}).items()}
        if json is not None:
            content = json_module.dumps(json).encode()
            given.setdefault("content-type", "application/json")
        query = f"{'&' if '?' in path else '?'}{urlencode(params, doseq=True)}" if params else ""
        request = urllib.request.Request(f"{self.url}{path}{query}", data=content, headers=given, method=method)
        try:
            # No proxy of the environment's stands between a test and its own process.
            with _OPENER.open(request, timeout=timeout_s) as response:
                return Answer(response.status, _lower(response.headers.items()), response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, _lower(error.headers.items()), error.read())

    def get(self, path: str = "/", **options: Any) -> Answer:
        """Send a GET."""
        return self.request("GET", path, **options)

    def post(self, path: str = "/", **options: Any) -> Answer:
        """Send a POST."""
        return self.request("POST", path, **options)

    def put(self, path: str = "/", **options: Any) -> Answer:
        """Send a PUT."""
        return self.request("PUT", path, **options)

    def delete(self, path: str = "/", **options: Any) -> Answer:
        """Send a DELETE."""
        return self.request("DELETE", path, **options)

    def handle(self, deployment: str = "") -> DeploymentHandle:
        """Return a handle to a deployment, to the ingress when none is named."""
        return DeploymentHandle(deployment, self.application)


class AsyncClient:
    """As Client, with requests to await. Handles are awaited anyway."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.application = client.application
        self.url = client.url

    async def request(self, method: str, path: str = "/", **options: Any) -> Answer:
        """Send a request, and return the answer; options are those of `Client.request`."""
        return await asyncio.to_thread(self._client.request, method, path, **options)

    async def get(self, path: str = "/", **options: Any) -> Answer:
        """Send a GET."""
        return await self.request("GET", path, **options)

    async def post(self, path: str = "/", **options: Any) -> Answer:
        """Send a POST."""
        return await self.request("POST", path, **options)

    async def put(self, path: str = "/", **options: Any) -> Answer:
        """Send a PUT."""
        return await self.request("PUT", path, **options)

    async def delete(self, path: str = "/", **options: Any) -> Answer:
        """Send a DELETE."""
        return await self.request("DELETE", path, **options)

    def handle(self, deployment: str = "") -> DeploymentHandle:
        """Return a handle to a deployment, to the ingress when none is named."""
        return self._client.handle(deployment)


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _lower(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}
