"""Autoscaling of a Serve config: `num_replicas: auto` and `autoscaling_config`, as fields of the wire and of manifests.

Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from remora.graph import autoscaling
from remora.serve_config.file import ApplicationConfig, DeploymentConfig
from remora_api import capacity
from remora_api.autoscaling import Autoscaling

_NUMBERS: Final = ("min_replicas", "max_replicas", "initial_replicas", "panic_threshold_percent")
_AMOUNTS: Final = ("target_ongoing_requests", "upscaling_factor", "downscaling_factor")
_AT_LEAST_1: Final = ("look_back_period_s", "panic_window_s")


def fields(config: DeploymentConfig) -> Mapping[str, Any] | None:
    """Return the fields of a `remora_api.autoscaling.Autoscaling`; None for a fixed number. Raises OptionError."""
    if config.num_replicas != "auto" and not config.autoscaling_config:
        return None
    most = 100 if config.num_replicas == "auto" else 1
    return autoscaling.read(config.autoscaling_config or {}, most, "autoscaling_config")


def at(values: Mapping[str, Any], percent: float | None) -> Mapping[str, Any]:
    """Return the fields with so many percent of their bounds; None leaves them."""
    if percent is None:
        return values
    bounds = capacity.bounds(Autoscaling.from_plain(values), percent)
    given = ("min_replicas", "max_replicas", *({"initial_replicas"} & values.keys()))
    return {**values, **{name: getattr(bounds, name) for name in given}}


def policy(config: ApplicationConfig) -> Mapping[str, Any] | None:
    """Return the fields of a `remora_api.autoscaling.Policy` for the whole application. Raises OptionError."""
    given = config.autoscaling_policy
    return autoscaling.policy(given, "autoscaling_policy") if given is not None else None


def manifest_policy(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a policy's fields as a manifest has them."""
    return {"importPath": values["import_path"]} | ({"args": values["args"]} if values["args"] else {})


def idle(config: DeploymentConfig) -> Iterator[str]:
    """Yield the settings that are given and have no effect, as nobody knows them."""
    for name, meant in autoscaling.unknown(config.autoscaling_config).items():
        yield f"autoscaling_config.{name}" + (f" (did you mean {meant}?)" if meant else "")


def manifest(values: Mapping[str, Any], where: str, notes: list[str]) -> dict[str, Any]:
    """Return the fields as a manifest's `autoscaling`; what is rounded is noted."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if name in _NUMBERS:
            found[_camel(name)] = int(value)
        elif name in _AMOUNTS:
            found[_camel(name)] = f"{value:g}"
        elif name == "policy":
            found["policy"] = manifest_policy(value)
        elif name == "aggregation":
            found["aggregationFunction"] = str(value)
        else:
            whole = max(math.ceil(value), 1 if name in _AT_LEAST_1 else 0)
            if whole != value:
                notes.append(f"{where}: autoscaling_config.{name}: {value:g} s became {whole}")
            found[_camel(f"{name.removesuffix('_s')}_seconds")] = whole
    return found


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
