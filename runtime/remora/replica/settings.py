"""Settings of a replica's process: what the worker container (or `remora run`) has in its environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from remora_api.meta import Path as Paths
from remora_api.meta import Port


@dataclass(frozen=True, slots=True)
class ReplicaSettings:
    """Where a replica listens and writes, and which key it holds."""

    host: str
    """Address at which others reach it."""
    data_key: str
    data_key_file: str
    """Where it was read; empty when it stood in the environment itself."""
    ports: tuple[int, int]
    """First and last port to listen at; (0, 0) is any."""
    output: str
    """File that takes what user code prints; empty leaves it where Ray puts it."""
    scratch: Path
    """Where code and control sockets are kept."""

    @staticmethod
    def read(environment: Mapping[str, str] = os.environ) -> ReplicaSettings:  # noqa: TID251 - this is a settings.py
        """Read the environment; OSError when the key's file is missing."""
        given = environment.get("REMORA_DATA_KEY")
        key_file = "" if given else environment.get("REMORA_DATA_KEY_FILE", f"{Paths.KEYS}/data/key")
        first, _, last = environment.get("REMORA_REPLICA_PORTS", f"{Port.REPLICAS[0]}-{Port.REPLICAS[1]}").partition(
            "-"
        )
        return ReplicaSettings(
            host=environment.get("POD_IP", "127.0.0.1"),
            data_key=given or _text(key_file),
            data_key_file=key_file,
            ports=(int(first), int(last)),
            output=environment.get("REMORA_OUTPUT", "/proc/1/fd/1"),
            scratch=Path(environment.get("REMORA_SCRATCH_DIR", "/tmp/remora")),
        )


def take_on(env: Mapping[str, str], working_dir: str = "") -> None:
    """Give this process the environment and the folder of its application, before the user's code is imported.

    Raises FileNotFoundError when there is no such folder.
    """
    os.environ.update(env)  # noqa: TID251 - this is a settings.py
    if working_dir:
        os.chdir(working_dir)
        sys.path.insert(0, working_dir)


def _text(path: str) -> str:
    return Path(path).read_text().strip()
