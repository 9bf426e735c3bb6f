"""The environment that local mode gives to the processes it starts: Ray hands it on to replicas and builds."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path


def prepare(*, data_key_file: Path, output: Path, scratch: Path, extra: Mapping[str, str] | None = None) -> None:
    """Set what `replica.settings` reads. Modules that this process could import, replicas can import as well."""
    here = [path or str(Path.cwd()) for path in sys.path]
    os.environ.update(  # noqa: TID251 - this is a settings.py
        {
            "POD_IP": "127.0.0.1",
            "REMORA_DATA_KEY_FILE": str(data_key_file),
            "REMORA_REPLICA_PORTS": "0-0",
            "REMORA_OUTPUT": str(output),
            "REMORA_SCRATCH_DIR": str(scratch),
            "PYTHONPATH": os.pathsep.join(dict.fromkeys(here)),
            # Ray's own usage report and log colours do not belong into a user's terminal.
            "RAY_USAGE_STATS_ENABLED": "0",
            **(extra or {}),
        }
    )
