"""Actor options: what one replica of a deployment needs of its node. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ActorOptions:
    """What one replica needs of its node: `ray_actor_options`."""

    num_cpus: float = 1
    num_gpus: float = 0
    memory: int = 0
    """Bytes; 0 is no limit."""
    resources: Mapping[str, float] = field(default_factory=dict)
    """Other Ray resources by name."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Added to the environment of its replicas: `env_vars` of its `runtime_env`."""
    runtime_env: Mapping[str, Any] = field(default_factory=dict)
    """The rest of its `runtime_env`, for Ray: as JSON has it."""

    @property
    def cpu_milli(self) -> int:
        """CPUs in thousandths, as Kubernetes counts them."""
        return round(self.num_cpus * 1000)

    @property
    def given(self) -> dict[str, Any]:
        """The options as a program gives them: the number of CPUs always, the rest where it is set."""
        runtime_env = {**({"env_vars": dict(self.env)} if self.env else {}), **self.runtime_env}
        set_ones = {
            "num_gpus": self.num_gpus,
            "memory": self.memory,
            "resources": dict(self.resources),
            "runtime_env": runtime_env,
        }
        return {"num_cpus": self.num_cpus, **{name: value for name, value in set_ones.items() if value}}

    @property
    def custom(self) -> dict[str, float]:
        """All that is neither CPU nor memory, by Ray's names."""
        gpus = {"GPU": float(self.num_gpus)} if self.num_gpus else {}
        return {**gpus, **self.resources}
