"""Builds the graph of an application on this machine, beside whatever else starts meanwhile."""

from __future__ import annotations

import tempfile
from pathlib import Path

from remora.errors import GraphError
from remora.graph import importing
from remora.graph.result import BuildFailure, BuildResult
from remora.local import settings
from remora.local.errors import CannotServe
from remora.replica import code
from remora_api.wire import Target

BUILD_TIMEOUT_S = 120.0


async def build(target: Target) -> BuildResult:
    """Import the application in a process of its own; raise CannotServe with what its code says is wrong."""
    with tempfile.TemporaryDirectory(prefix="remora-build-") as scratch:
        place = Path(scratch)
        folder = Path(target.working_dir) if target.working_dir else None
        if target.code is not None:
            folder = place / "code"
            code.write(target.code, folder)
        try:
            written = await importing.written(
                target.import_path,
                target.args,
                graph=target.graph,
                folder=folder,
                place=place,
                timeout_s=BUILD_TIMEOUT_S,
                env=settings.of_import(target.env),
                cwd=target.working_dir or None,
            )
            result = BuildResult.from_bytes(written)
        except (importing.NotImported, GraphError) as error:
            raise CannotServe(str(error)) from error
    if isinstance(result, BuildFailure):
        raise CannotServe(result.message, result.traceback)
    return result
