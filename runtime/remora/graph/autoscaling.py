"""Autoscaling as code asks for it: `autoscaling_config` and `num_replicas="auto"`, in Ray Serve's names and defaults.

Pure. `options` calls `chosen` when the decorator runs; a wrong value is an OptionError. A key that is not known has no
effect, as in Ray Serve, whose model lets it pass; here it is said (`unknown`).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from remora.errors import OptionError


@dataclass(frozen=True, slots=True)
class _Field:
    """One setting: its name in `remora_api.autoscaling.Autoscaling`, and what may be given."""

    name: str
    kind: Callable[[Any], Any] = float
    above: float = -1
    """Values must be above this."""


_FIELDS: Final = {
    "min_replicas": _Field("min_replicas", int),
    "max_replicas": _Field("max_replicas", int, above=0),
    "initial_replicas": _Field("initial_replicas", int),
    "target_ongoing_requests": _Field("target_ongoing_requests", above=0),
    "look_back_period_s": _Field("look_back_period_s", above=0),
    "upscaling_factor": _Field("upscaling_factor", above=0),
    "downscaling_factor": _Field("downscaling_factor", above=0),
    "upscale_delay_s": _Field("upscale_delay_s"),
    "downscale_delay_s": _Field("downscale_delay_s"),
    "downscale_to_zero_delay_s": _Field("downscale_to_zero_delay_s"),
    "aggregation_function": _Field("aggregation", str),
    # Older names for the same.
    "target_num_ongoing_requests_per_replica": _Field("target_ongoing_requests", above=0),
    "upscale_smoothing_factor": _Field("upscaling_factor", above=0),
    "downscale_smoothing_factor": _Field("downscaling_factor", above=0),
    # Remora's own.
    "panic_window_s": _Field("panic_window_s", above=0),
    "panic_threshold_percent": _Field("panic_threshold_percent", int),
}
_IGNORED: Final = ("metrics_interval_s",)
"""How often load is reported is the controller's to say."""
_BOTH_WAYS: Final = "smoothing_factor"
"""The oldest name: for both factors, where a newer one does not give them."""
_MAX_REPLICAS: Final = 1
"""Without a word of it; "auto" means 100."""
_DEFAULTS: Final = {
    "min_replicas": 1,
    "max_replicas": _MAX_REPLICAS,
    "target_ongoing_requests": 2.0,
    "look_back_period_s": 30.0,
    "upscale_delay_s": 30.0,
    "downscale_delay_s": 600.0,
    "aggregation_function": "mean",
}
"""Ray Serve's, of settings that have one."""
_AGGREGATIONS: Final = ("Mean", "Max", "Min")


class AggregationFunction(StrEnum):
    """Ray Serve's `AggregationFunction`: what the load of a period is."""

    MEAN = "mean"
    MAX = "max"
    MIN = "min"


class AutoscalingConfig:
    """Ray Serve's `AutoscalingConfig`: how many replicas there are, by the requests that there are."""

    def __init__(self, **given: Any) -> None:
        self.given = dict(given)
        if isinstance(given.get("policy"), Mapping):
            self.given["policy"] = AutoscalingPolicy(**given["policy"])
        read(self.given, _MAX_REPLICAS, "AutoscalingConfig")

    @classmethod
    def in_force(cls, limits: Mapping[str, Any]) -> AutoscalingConfig:
        """Return what a policy is shown of a `remora_api.autoscaling.Autoscaling`'s fields, in Ray Serve's names."""
        names = {field.name: name for name, field in reversed(_FIELDS.items())}
        given = {names[name]: value for name, value in limits.items() if name in names}
        given["aggregation_function"] = str(given.get("aggregation_function", "mean")).lower()
        policy = limits.get("policy")
        if policy:
            given["policy"] = {"policy_function": policy["import_path"], "policy_kwargs": policy["args"]}
        return cls(**given)

    def get_target_ongoing_requests(self) -> float:
        """Return the requests per replica that are right."""
        return float(self.target_ongoing_requests)

    def get_upscaling_factor(self) -> float:
        """Return the share of the way up that one decision goes."""
        return self._factor("upscaling_factor", "upscale_smoothing_factor")

    def get_downscaling_factor(self) -> float:
        """Return the share of the way down that one decision goes."""
        return self._factor("downscaling_factor", "downscale_smoothing_factor")

    def _factor(self, *names: str) -> float:
        return next((float(self.given[name]) for name in (*names, _BOTH_WAYS) if self.given.get(name)), 1.0)

    def __getattr__(self, name: str) -> Any:
        """Return a setting: as given, or Ray Serve's default."""
        if (name in (*_FIELDS, *_IGNORED, _BOTH_WAYS) or name == "policy") and "given" in self.__dict__:
            return self.given.get(name, _DEFAULTS.get(name))
        raise AttributeError(f"AutoscalingConfig has no {name!r}")

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.given.items())
        return f"AutoscalingConfig({given})"


class AutoscalingPolicy:
    """Ray Serve's `AutoscalingPolicy`: a function, or its import path, that says how many replicas there should be."""

    def __init__(
        self, policy_function: str | Callable[..., Any], policy_kwargs: Mapping[str, Any] | None = None
    ) -> None:
        self.given: dict[str, Any] = {"policy_function": policy_function, "policy_kwargs": dict(policy_kwargs or {})}
        policy(self.given, "AutoscalingPolicy")

    @property
    def policy_function(self) -> str | Callable[..., Any]:
        """The function, or its import path, as given."""
        function: str | Callable[..., Any] = self.given["policy_function"]
        return function

    def __repr__(self) -> str:
        return f"AutoscalingPolicy({self.given['policy_function']!r})"


def chosen(given: Mapping[str, Any], before: Mapping[str, Any] | None, where: str) -> dict[str, Any]:
    """Return what options given anew make of the autoscaling of before; raise OptionError.

    A number of replicas turns it off, a configuration or "auto" on; None leaves it, as for every option.
    """
    config, replicas = given.get("autoscaling_config"), given.get("num_replicas")
    if config is not None and isinstance(replicas, int):
        raise OptionError(
            f"{where} num_replicas is {replicas} and autoscaling_config is given: leave one of them out, or say "
            'num_replicas="auto"'
        )
    if replicas == "auto":
        return {"autoscaling": read(_given(config, where), 100, f"{where} autoscaling_config")}
    if config is not None:
        return {"autoscaling": read(_given(config, where), _MAX_REPLICAS, f"{where} autoscaling_config")}
    return {"autoscaling": None} if replicas is not None else {"autoscaling": before}


def read(given: Mapping[str, Any], most: int, where: str) -> Mapping[str, Any]:
    """Return the fields of an `Autoscaling`, with `most` replicas unless it is given; raise OptionError."""
    values: dict[str, Any] = {"max_replicas": most}
    for name, value in given.items():
        if value is None:
            continue
        if name == "policy":
            values["policy"] = policy(value, f"{where}['policy']")
        if name not in _FIELDS:
            continue
        check = _aggregation if name == "aggregation_function" else _number
        values[_FIELDS[name].name] = check(value, _FIELDS[name], f"{where}[{name!r}]")
    if (both := given.get(_BOTH_WAYS)) is not None:
        field = _FIELDS["upscaling_factor"]
        factor = _number(both, field, f"{where}[{_BOTH_WAYS!r}]")
        values = {"upscaling_factor": factor, "downscaling_factor": factor} | values
    least, most = values.get("min_replicas", 1), values["max_replicas"]
    first = values.get("initial_replicas", least)
    if not least <= first <= most:
        raise OptionError(
            f"{where}: min_replicas {least}, initial_replicas {first} and max_replicas {most} must be in this order"
        )
    return values


def unknown(config: Any) -> Mapping[str, str]:
    """Return the keys that have no effect, as nobody knows them, with what may have been meant."""
    given = config.given if isinstance(config, AutoscalingConfig) else config or {}
    known = (*_FIELDS, *_IGNORED, _BOTH_WAYS, "policy")
    return {
        str(name): " or ".join(difflib.get_close_matches(str(name), known, n=2, cutoff=0.6))
        for name, value in given.items()
        if name not in known and value is not None
    }


def _given(config: Any, where: str) -> Mapping[str, Any]:
    if config is None:
        return {}
    if isinstance(config, AutoscalingConfig):
        return config.given
    if not isinstance(config, Mapping):
        raise OptionError(f"{where} autoscaling_config is {config!r}, and must be a dict or an AutoscalingConfig")
    return config


def _aggregation(value: Any, field: _Field, where: str) -> str:
    word = str(getattr(value, "value", value)).capitalize()
    if word not in _AGGREGATIONS:
        raise OptionError(f"{where} is {value!r}, and must be mean, max or min")
    return word


def _number(value: Any, field: _Field, where: str) -> Any:
    right = isinstance(value, int | float) and not isinstance(value, bool) and value == value
    if right and field.kind is int:
        right = float(value).is_integer()
    least = "above 0" if field.above == 0 else "of at least 0"
    if not right or value <= field.above or value < 0:
        kind = "whole number" if field.kind is int else "number"
        raise OptionError(f"{where} is {value!r}, and must be a {kind} {least}")
    return field.kind(value)


def policy(value: Any, where: str) -> dict[str, Any]:
    """Return a policy by its import path, as it is imported again, in a replica; raise OptionError."""
    given: Any = value.given if isinstance(value, AutoscalingPolicy) else value
    if not isinstance(given, Mapping) or "policy_function" not in given:
        raise OptionError(f"{where} is {value!r}, and must be an AutoscalingPolicy, or a dict with policy_function")
    function = given["policy_function"]
    path = function if isinstance(function, str) else _path_of(function, where)
    module, _, attribute = path.replace(":", ".").rpartition(".") if ":" not in path else path.partition(":")
    try:
        keywords: Any = given.get("policy_kwargs") or {}
        args = json.loads(json.dumps(dict(keywords)))
    except (TypeError, ValueError) as error:
        raise OptionError(f"{where}: policy_kwargs must be what JSON can hold: {error}") from error
    if not module or not attribute:
        raise OptionError(f"{where}: policy_function {function!r} must be module:function, or the function itself")
    return {"import_path": f"{module}:{attribute}", "args": args}


def _path_of(function: Any, where: str) -> str:
    module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
    if not module or not name or "<" in name or module == "__main__":
        raise OptionError(f"{where}: policy_function {function!r} cannot be imported by name: put it into a module")
    return f"{module}:{name}"
