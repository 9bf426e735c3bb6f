"""A build on a worker: the task that Ray runs there, and what is made of its result.

User code is imported by a subprocess, never by this one: a Ray worker that is used again would hold the old modules.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from remora.graph import importing
from remora.http_client import SignedClient
from remora.replica import code
from remora.replica.settings import ReplicaSettings
from remora_api.wire_graph import Graph


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to import."""

    import_path: str
    args: Mapping[str, Any]
    code: str
    """Digest of the code bundle, empty without one."""
    controller_url: str
    timeout_s: float
    graph: Graph | None = None


def run(request: BuildRequest) -> bytes:
    """Import the application in a subprocess on this node, and return what it wrote; raise importing.NotImported."""
    return asyncio.run(_run(request, ReplicaSettings.read()))


async def _run(request: BuildRequest, settings: ReplicaSettings) -> bytes:
    async with SignedClient(request.controller_url, settings.data_key) as client:
        folder = await code.lay_out(request.code, client, settings.scratch)
    with tempfile.TemporaryDirectory(prefix="remora-build-") as place:
        return await importing.written(
            request.import_path,
            request.args,
            graph=request.graph,
            folder=folder,
            place=Path(place),
            timeout_s=request.timeout_s,
        )
