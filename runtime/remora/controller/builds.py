"""A build on a worker: the task that Ray runs there, and what is made of its result.

User code is imported by a subprocess, never by this one: a Ray worker that is used again would hold the old modules.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from remora.errors import RemoraError
from remora.http_client import SignedClient
from remora.replica import code
from remora.replica.settings import ReplicaSettings

_TAIL_CHARS = 2000


class BuildError(RemoraError):
    """The build did not come to a result through a fault of the user's code: it hangs, or its process died."""


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to import."""

    import_path: str
    args: Mapping[str, Any]
    code: str
    """Digest of the code bundle, empty without one."""
    controller_url: str
    timeout_s: float


def run(request: BuildRequest) -> bytes:
    """Import the application in a subprocess on this node, and return what it wrote; raise BuildError."""
    return asyncio.run(_run(request, ReplicaSettings.read()))


async def _run(request: BuildRequest, settings: ReplicaSettings) -> bytes:
    async with SignedClient(request.controller_url, settings.data_key) as client:
        folder = await code.lay_out(request.code, client, settings.scratch)
    with tempfile.TemporaryDirectory(prefix="remora-build-") as place:
        return await _import(request, folder, Path(place))


async def _import(request: BuildRequest, folder: Path | None, place: Path) -> bytes:
    arguments, out = place / "args.json", place / "result"
    arguments.write_text(json.dumps(dict(request.args)))
    command = [sys.executable, "-m", "remora.graph.build", "--import-path", request.import_path]
    command += ["--args-file", str(arguments), "--out", str(out)]
    command += ["--code-dir", str(folder)] if folder else []
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(request.timeout_s):
            printed, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise BuildError(
            f"import path {request.import_path!r}: not imported within {request.timeout_s:g} s; "
            "move what waits or loads into a constructor"
        ) from None
    if not out.exists():
        tail = printed[-_TAIL_CHARS:].decode(errors="replace").strip().splitlines()
        raise BuildError(
            f"import path {request.import_path!r}: the importing process ended with {process.returncode}"
            + (f": {tail[-1]}" if tail else "")
        )
    return out.read_bytes()
