"""Whether this process makes spans, and where they go: read once, at its start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from remora.errors import OptionError

OFF: Final = "off"
FILES: Final = "files"
"""In the place of an exporter's import path: a file of JSON for each process."""
SAMPLING_RATIO: Final = 0.01
RAY_SERVES_FILES: Final = "ray.serve._private.tracing_utils:default_tracing_exporter"
"""How programs that are written for Ray Serve name `FILES`."""


@dataclass(frozen=True, slots=True)
class TracingSettings:
    """How a process traces."""

    exporter: str = OFF
    """Import path (module:function) of what returns span processors, `FILES` or `OFF`; empty for the endpoint alone."""
    endpoint: str = ""
    """Base URL of a collector that takes OTLP over HTTP."""
    sampling_ratio: float = SAMPLING_RATIO
    """Of the requests whose client did not decide it, how many have spans: between 0 and 1."""

    @property
    def is_on(self) -> bool:
        """Whether there are spans at all."""
        return self.exporter != OFF

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> TracingSettings:  # noqa: TID251 - a settings.py
        """Return what the environment says, by Remora's variables or else by Ray Serve's; raise OptionError."""
        exporter = environment.get("REMORA_TRACING_EXPORTER", "")
        endpoint = environment.get("REMORA_TRACING_ENDPOINT", "")
        if exporter or endpoint:
            # In pods: the resource's endpoint for all, and an exporter of the code's own for its replicas.
            exporter = exporter or environment.get("RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH", "")
            return cls(exporter, endpoint, _ratio(environment, "REMORA_TRACING_SAMPLING_RATIO"))
        return cls.of_ray_serve(environment)

    @classmethod
    def of_ray_serve(cls, environment: Mapping[str, str] = os.environ) -> TracingSettings:  # noqa: TID251 - as above
        """Return what Ray Serve's variables say; raise OptionError."""
        exporter = environment.get("RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH", "")
        return cls(exporter or OFF, "", _ratio(environment, "RAY_SERVE_TRACING_SAMPLING_RATIO"))

    def environment(self) -> dict[str, str]:
        """Return the variables by which `read` finds the same."""
        return {
            "REMORA_TRACING_EXPORTER": self.exporter,
            "REMORA_TRACING_ENDPOINT": self.endpoint,
            "REMORA_TRACING_SAMPLING_RATIO": repr(self.sampling_ratio),
        }


TRACING_OFF: Final = TracingSettings()


def of_config(*, enabled: bool, exporter_import_path: str, sampling_ratio: float) -> TracingSettings:
    """Return what a `TracingConfig` says; without an exporter spans go to files, as in Ray Serve."""
    if not enabled:
        return TRACING_OFF
    return TracingSettings(exporter_import_path or FILES, "", sampling_ratio)


def _ratio(environment: Mapping[str, str], variable: str) -> float:
    given = environment.get(variable, "")
    try:
        ratio = float(given) if given else SAMPLING_RATIO
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise OptionError(f"{variable} is {given!r}, and must be a number between 0 and 1")
    return ratio
