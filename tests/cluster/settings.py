"""Settings: what the test cluster takes from the environment, read once.

Nothing else in this package looks at the environment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """How this machine wants its test cluster."""

    cache: Path
    """Everything that we build and run lies below: `$XDG_CACHE_HOME/remora`, by default `~/.cache/remora`."""

    backend: str
    """`REMORA_CLUSTER`: `bare`, `kind`, or empty for what the machine can host."""

    required: bool
    """`REMORA_REQUIRE_CLUSTER=1`: tests that cannot have a cluster fail; without it they are skipped."""

    @classmethod
    def of(cls, environment: Mapping[str, str], home: Path) -> Settings:
        caches = environment.get("XDG_CACHE_HOME") or str(home / ".cache")
        return cls(
            cache=Path(caches) / "remora",
            backend=environment.get("REMORA_CLUSTER", ""),
            required=environment.get("REMORA_REQUIRE_CLUSTER") == "1",
        )

    @classmethod
    def read(cls) -> Settings:
        return cls.of(os.environ, Path.home())
