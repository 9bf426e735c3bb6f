"""The environment that local mode gives to the processes it starts: Ray hands it on to replicas and builds."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from remora.tracing.settings import TracingSettings


def prepare(
    *,
    data_key_file: Path,
    output: Path,
    scratch: Path,
    tracing: TracingSettings | None = None,
    extra: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Set what `replica.settings` reads, and what Ray does at its start; tracing is as Ray Serve's variables say it
    where nothing else does.

    Returns the former: a Ray that runs already does not inherit it from here.
    """
    made = {
        "POD_IP": "127.0.0.1",
        "REMORA_DATA_KEY_FILE": str(data_key_file),
        "REMORA_REPLICA_PORTS": "0-0",
        "REMORA_OUTPUT": str(output),
        "REMORA_SCRATCH_DIR": str(scratch),
        "PYTHONPATH": python_path(),
        # Said also where it is off: it may have been on in an earlier instance of this process.
        **(tracing or TracingSettings.of_ray_serve({**os.environ, **(extra or {})})).environment(),  # noqa: TID251
        **(extra or {}),
    }
    # Ray's own usage report does not belong into a user's terminal.
    os.environ.update({"RAY_USAGE_STATS_ENABLED": "0", **made})  # noqa: TID251 - this is a settings.py
    return made


def of_proxy(extra: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the proxy's process."""
    return {**os.environ, **extra}  # noqa: TID251 - this is a settings.py


def of_import(extra: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process that imports the user's code: this one's, with that of the application."""
    return {**os.environ, "PYTHONPATH": python_path(), **extra}  # noqa: TID251 - this is a settings.py


def ray_login() -> dict[str, str]:
    """Return what Ray itself reads to show who we are to a Ray that asks for a token."""
    return {k: v for k, v in os.environ.items() if k.startswith("RAY_AUTH_")}  # noqa: TID251 - this is a settings.py


def python_path() -> str:
    """Modules that this process could import, its children can import as well."""
    return os.pathsep.join(dict.fromkeys(path or str(Path.cwd()) for path in sys.path))
