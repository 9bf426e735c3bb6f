"""Settings of the controller: the environment of its container, or what `remora run` makes up."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from remora_api.meta import Path as Paths
from remora_api.meta import Port

START_TIMEOUT_S: Final = 600.0
"""By default. Large models are loaded in it; whoever needs longer than this is taken for hung."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerSettings:
    """How one controller runs."""

    ray_address: str
    """``host:port`` of the GCS; empty starts Ray in this process, for local mode."""
    ray_key: str
    """Ray's token; empty for a Ray without authentication."""
    control_key: str
    data_key: str
    url: str
    """Where replicas find this controller; empty means the port that it gets on this machine."""
    host: str = "0.0.0.0"
    port: int = Port.CONTROLLER
    state_dir: Path
    local: bool = False
    """One machine that holds everything: nodes have no capacity to count, and the head takes replicas."""
    worker_env: Mapping[str, str] = field(default_factory=dict)
    """Environment of replicas and builds on a Ray that somebody else started, whose processes do not inherit it."""
    worker_env_at_start: bool = False
    """It holds what is read when an interpreter starts. Ray then starts a process for each replica, which takes the
    better part of a second, instead of giving one that waits already."""
    start_timeout_s: float = START_TIMEOUT_S
    """What a replica has from its creation until it serves: its constructor, mostly."""
    build_timeout_s: float = 120
    recovery_timeout_s: float = 5

    @staticmethod
    def read(environment: Mapping[str, str] = os.environ) -> ControllerSettings:  # noqa: TID251 - this is a settings.py
        """Read the environment; OSError when a key's file is missing, KeyError without POD_IP."""
        pod_ip = environment["POD_IP"]
        port = int(environment.get("REMORA_CONTROLLER_PORT", Port.CONTROLLER))

        def key(purpose: str) -> str:
            path = environment.get(f"REMORA_{purpose.upper()}_KEY_FILE", f"{Paths.KEYS}/{purpose}/key")
            return Path(path).read_text().strip() if path else ""

        return ControllerSettings(
            ray_address=environment.get("REMORA_RAY_ADDRESS", f"{pod_ip}:{Port.GCS}"),
            ray_key=key("ray"),
            control_key=key("control"),
            data_key=key("data"),
            url=environment.get("REMORA_CONTROLLER_URL", f"http://{pod_ip}:{port}"),
            port=port,
            state_dir=Path(environment.get("REMORA_STATE_DIR", Paths.STATE)) / "controller",
            start_timeout_s=float(environment.get("REMORA_START_TIMEOUT_S", START_TIMEOUT_S)),
            build_timeout_s=float(environment.get("REMORA_BUILD_TIMEOUT_S", "120")),
        )

    def prepare_ray(self) -> None:
        """Hand Ray its token, which it looks for in the environment when it is imported, so before that."""
        os.environ["RAY_AUTH_MODE"] = "token" if self.ray_key else "disabled"  # noqa: TID251 - this is a settings.py
        if self.ray_key:
            os.environ["RAY_AUTH_TOKEN"] = self.ray_key  # noqa: TID251 - as above
