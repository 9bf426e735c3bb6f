"""Builds the graph of an application on this machine, beside whatever else starts meanwhile.

Where Ray has to set something up for the code first (packages, modules), the build is a task of Ray's, and its
replicas get the same.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remora.errors import GraphError
from remora.graph import importing
from remora.graph.result import BuildFailure, BuildResult
from remora.local import settings
from remora.local.errors import CannotServe
from remora.replica import code
from remora_api.wire import Target

if TYPE_CHECKING:
    from remora.local.ground import Ground

BUILD_TIMEOUT_S = 120.0


async def build(
    target: Target, ground: Ground | None = None, logging_config: Mapping[str, Any] | None = None
) -> BuildResult:
    """Import the application in a process of its own; raise CannotServe with what its code says is wrong.

    The process is the one that waits for it on the ground, where that has the environment and folder of the target.
    """
    waiting = ground.take_importer() if ground and not (target.env or target.working_dir) else None
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
                logging_config=logging_config,
                folder=folder,
                place=place,
                timeout_s=BUILD_TIMEOUT_S,
                env=settings.of_import(target.env),
                cwd=target.working_dir or None,
                waiting=waiting,
            )
            result = BuildResult.from_bytes(written)
        except (importing.NotImported, GraphError) as error:
            raise CannotServe(str(error)) from error
    return _built(result)


async def build_in(
    runtime_env: Mapping[str, Any], target: Target, logging_config: Mapping[str, Any] | None = None
) -> BuildResult:
    """Do as `build` in what Ray sets up, and let all deployments have it; Ray is connected to.

    A deployment's own `runtime_env` comes first, key by key, as in Ray Serve.
    """
    import ray
    from ray.exceptions import RayError, RayTaskError

    from remora.controller.cluster import why

    env = {**target.env, "PYTHONPATH": settings.python_path()}
    task = ray.remote(_written).options(num_cpus=0, max_retries=0, runtime_env={**runtime_env, "env_vars": env})
    try:
        written = await task.remote(target.import_path, dict(target.args), target.working_dir, logging_config)
        result = BuildResult.from_bytes(written)
    except RayTaskError as error:
        raise CannotServe(str(error.cause)) from error
    except RayError as error:
        raise CannotServe(f"application {target.application!r}: {why(error)}") from error
    except (ValueError, TypeError) as error:
        raise CannotServe(f"application {target.application!r}: its runtime_env is refused by Ray: {error}") from error
    except GraphError as error:
        raise CannotServe(str(error)) from error
    built = _built(result)
    deployments = tuple(replace(it, runtime_env={**runtime_env, **it.runtime_env}) for it in built.deployments)
    return replace(built, deployments=deployments)


def _written(
    import_path: str, args: dict[str, Any], working_dir: str, logging_config: Mapping[str, Any] | None
) -> bytes:
    """Import the application in a process of its own beside a worker of Ray's."""
    with tempfile.TemporaryDirectory(prefix="remora-build-") as place:
        folder = Path(working_dir) if working_dir else None
        return asyncio.run(
            importing.written(
                import_path,
                args,
                logging_config=logging_config,
                folder=folder,
                place=Path(place),
                timeout_s=BUILD_TIMEOUT_S,
                cwd=working_dir or None,
            )
        )


def _built(result: BuildResult | BuildFailure) -> BuildResult:
    if isinstance(result, BuildFailure):
        raise CannotServe(result.message, result.traceback)
    return result
