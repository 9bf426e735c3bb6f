"""Options of a deployment: the names of Ray Serve's decorator, checked when the decorator runs.

Pure. An unknown name, a wrong type or a value out of range is an OptionError that names the deployment. A name that
Remora knows and does not act upon yet is accepted and said so (`without_effect`): a program written for Ray Serve
loads, and nobody believes in a setting that does nothing.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Literal

from remora.errors import OptionError
from remora.graph import autoscaling, gang, placement_group
from remora.graph.actor_options import ActorOptions
from remora.routing import config as router_config
from remora.routing.config import RequestRouterConfig

MAX_REPLICAS_PER_NODE: Final = 100
NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.:-]*[A-Za-z0-9_])?")

_REMOVED: Final = {"version": "it was removed; replicas are replaced when their code or options change: leave it out"}

_WITHOUT_EFFECT: Final[tuple[str, ...]] = ()
"""Names of Ray Serve that are accepted and do nothing yet."""

_ACTOR_OPTIONS: Final = ("num_cpus", "num_gpus", "memory", "resources")
_ACTOR_OPTIONS_WITHOUT_EFFECT: Final = (
    "accelerator_type",
    "label_selector",
    "fallback_strategy",
    "object_store_memory",
)
RUNTIME_ENV: Final = ("py_modules", "working_dir", "excludes", "pip", "uv", "conda", "config")
"""What of a `runtime_env` Ray sets up for a replica's process; `env_vars` are Remora's own to set."""


@dataclass(frozen=True, slots=True)
class DeploymentOptions:
    """What @serve.deployment says of one deployment. Make and change it with `of` and `changed`, which check."""

    name: str
    num_replicas: int | Literal["auto"] = 1
    autoscaling: Mapping[str, Any] | None = None
    """Fields of `remora_api.autoscaling.Autoscaling`; None for a fixed number of replicas."""
    max_ongoing_requests: int = 5
    max_queued_requests: int = -1
    user_config: Any = None
    has_user_config: bool = False
    ray_actor_options: ActorOptions = field(default_factory=ActorOptions)
    graceful_shutdown_wait_loop_s: float = 2.0
    graceful_shutdown_timeout_s: float = 20.0
    health_check_period_s: float = 10.0
    health_check_timeout_s: float = 30.0
    request_router: RequestRouterConfig | None = None
    """None is Remora's own."""
    max_replicas_per_node: int | None = None
    """At most so many on one node; None is no limit."""
    placement_group_bundles: placement_group.Bundles | None = None
    """What each replica reserves, itself in the first; None for nothing beside itself."""
    placement_group_strategy: str | None = None
    placement_group_bundle_label_selector: placement_group.Selectors | None = None
    """One for all bundles, or one for each."""
    gang_scheduling_config: Mapping[str, Any] | None = None
    """Fields of `compat.gang.GangSchedulingConfig`; None where replicas are on their own."""
    backpressure_config: Mapping[str, Any] | None = None
    """Fields of `compat.backpressure.BackpressureConfig`; None where nothing is given."""
    logging_config: Mapping[str, Any] | None = None
    """Fields of `compat.logging_config.LoggingConfig`; None where nothing is given."""
    rolling_update_percentage: float | None = None
    """Part of the replicas that a rollout replaces at a time, above 0 and at most 1; None leaves it to the resource."""
    max_surge_percent: int | None = None
    """Replicas beyond their number in a rollout, in percent of it; None leaves it to the resource."""
    max_constructor_retry_count: int | None = None
    """Starts that fail in a row after which the deployment has failed."""
    deployment_actors: tuple[Any, ...] = ()
    """Each a `compat.deployment_actor.DeploymentActorConfig`."""
    without_effect: tuple[str, ...] = ()
    """Options that were given and have no effect yet, by name."""

    @property
    def replicas(self) -> int:
        """Replicas to start with; where there is autoscaling, that says how many."""
        return 1 if self.num_replicas == "auto" else self.num_replicas

    @property
    def group(self) -> dict[str, Any] | None:
        """Fields of `remora_api.wire_group.PlacementGroup`: what each replica reserves."""
        return placement_group.fields(
            self.placement_group_bundles, self.placement_group_strategy, self.placement_group_bundle_label_selector
        )

    @property
    def gang(self) -> dict[str, Any] | None:
        """Fields of `remora_api.wire_group.Gang`: which replicas come and go together."""
        return gang.fields(self.gang_scheduling_config)

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence for each option that has no effect yet."""
        return tuple(f"deployment {self.name!r}: option {_idle(option)}" for option in self.without_effect)


def _idle(option: str) -> str:
    """Say that an option has no effect: it is not there yet, or nobody knows it."""
    outer, _, key = option.removesuffix("]").partition("[")
    if outer != "autoscaling_config":
        return f"{option} is accepted and has no effect yet"
    meant = autoscaling.unknown({key: ""})[key]
    return f"{outer} has an unknown key {key!r}, which has no effect" + (f"; did you mean {meant}?" if meant else "")


def of(default_name: str, given: Mapping[str, Any]) -> DeploymentOptions:
    """Return the options that the decorator was given, the rest by default; raise OptionError."""
    return changed(DeploymentOptions(name=default_name), given)


def changed(options: DeploymentOptions, given: Mapping[str, Any]) -> DeploymentOptions:
    """Return the options with some of them given anew, as `Deployment.options` does; raise OptionError."""
    name = _name(given.get("name") or options.name, options.name)
    values: dict[str, Any] = {"name": name}
    idle = [known for known in options.without_effect if known.split("[")[0] not in given]
    for option, value in given.items():
        if option in ("name", "autoscaling_config"):
            continue
        if option in _REMOVED:
            raise OptionError(f"deployment {name!r}: option {option} cannot be set: {_REMOVED[option]}")
        if option in _WITHOUT_EFFECT:
            idle += [option] if value is not None else []
        if option == "request_router_config":
            values["request_router"] = router_config.checked(value, f"deployment {name!r}: option {option}")
        elif option in _CHECKS:
            values[option] = _CHECKS[option](value, f"deployment {name!r}: option {option}")
        elif option not in _WITHOUT_EFFECT:
            raise OptionError(f"deployment {name!r}: unknown option {option!r}; {_nearest(option, _NAMES)}")
    values |= autoscaling.chosen(given, options.autoscaling, f"deployment {name!r}: option")
    values["has_user_config"] = values.get("user_config", options.user_config) is not None
    idle += [f"autoscaling_config[{key}]" for key in autoscaling.unknown(given.get("autoscaling_config"))]
    actor = given.get("ray_actor_options") or {}
    idle += [f"ray_actor_options[{key}]" for key in _ACTOR_OPTIONS_WITHOUT_EFFECT if actor.get(key)]
    runtime_env = actor.get("runtime_env") or {}
    idle += [
        f"ray_actor_options[runtime_env][{key}]"
        for key in runtime_env
        if key not in ("env_vars", *RUNTIME_ENV) and runtime_env[key]
    ]
    made = replace(options, **values, without_effect=tuple(dict.fromkeys(idle)))
    placement_group.check(
        made.placement_group_bundles,
        made.placement_group_strategy,
        made.placement_group_bundle_label_selector,
        f"deployment {name!r}",
        actor=made.ray_actor_options,
        max_replicas_per_node=made.max_replicas_per_node,
    )
    gang.check(
        made.gang_scheduling_config,
        f"deployment {name!r}",
        replicas=made.replicas if made.autoscaling is None else None,
        max_replicas_per_node=made.max_replicas_per_node,
        placement_group_strategy=made.placement_group_strategy,
    )
    return made


def _name(value: Any, known_as: str) -> str:
    """Return a name that can stand in a resource, a route and an actor's name."""
    if not isinstance(value, str):
        raise OptionError(f"deployment {known_as!r}: the name is {value!r}, and must be a str")
    if len(value) > 100 or NAME.fullmatch(value) is None:
        raise OptionError(
            f"deployment {known_as!r}: the name {value!r} must be 1 to 100 letters, digits, '_', '-', '.' and ':'; "
            "give another with @serve.deployment(name=…)"
        )
    return value


def _nearest(word: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(sorted(known))}"


def _number(kind: Callable[[Any], Any], least: float, what: str) -> Callable[[Any, str], Any]:
    """Return a check for numbers: `what` says in words what is wanted."""

    def check(value: Any, where: str) -> Any:
        right = isinstance(value, int | float) and not isinstance(value, bool) and value == value
        if right and kind is int:
            right = float(value).is_integer()
        if not right or value < least:
            raise OptionError(f"{where} is {value!r}, and must be {what}")
        return kind(value)

    return check


def _or_default(check: Callable[[Any, str], Any], default: Any) -> Callable[[Any, str], Any]:
    """Return a check that takes None for the default."""
    return lambda value, where: default if value is None else check(value, where)


_positive = _number(int, 1, "a whole number above 0")


def _replicas(value: Any, where: str) -> Any:
    return value if value == "auto" else _number(int, 1, 'a whole number above 0, or "auto"')(value, where)


def _user_config(value: Any, where: str) -> Any:
    """Return the value as JSON has it: it travels to the replicas, and may come from a manifest as well."""
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError) as error:
        raise OptionError(f"{where} must be what JSON can hold, so that it can reach the replicas: {error}") from error


def _per_node(value: Any, where: str) -> int:
    if not isinstance(value, int) or not 1 <= value <= MAX_REPLICAS_PER_NODE:
        raise OptionError(f"{where} is {value!r}, and must be a whole number of 1 to {MAX_REPLICAS_PER_NODE}")
    return int(value)


def _part(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise OptionError(f"{where} is {value!r}, and must be a number above 0 and at most 1")
    return float(value)


def _percent(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value not in range(101):
        raise OptionError(f"{where} is {value!r}, and must be a whole number of 0 to 100")
    return int(value)


def _backpressure(value: Any, where: str) -> dict[str, Any]:
    from remora.compat import checking
    from remora.compat.backpressure import BackpressureConfig

    return checking.as_dict(BackpressureConfig, value, where)


def _logging(value: Any, where: str) -> dict[str, Any]:
    from remora.compat import checking
    from remora.compat.logging_config import LoggingConfig

    return checking.as_dict(LoggingConfig, value, where)


def _deployment_actors(value: Any, where: str) -> tuple[Any, ...]:
    from pydantic import ValidationError

    from remora.compat.deployment_actor import DeploymentActorConfig

    if not isinstance(value, list | tuple):
        raise OptionError(f"{where} is {value!r}, and must be a list of DeploymentActorConfig")
    try:
        found = tuple(DeploymentActorConfig.model_validate(one) for one in value)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'it'}: {e['msg']}" for e in error.errors())
        raise OptionError(f"{where} is wrong: {wrong}") from error
    names = [one.name for one in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise OptionError(f"{where} must have unique names, and two are called {twice!r}")
    return found


def _actor_options(value: Any, where: str) -> ActorOptions:
    if not isinstance(value, Mapping):
        raise OptionError(f"{where} is {value!r}, and must be a dict of {', '.join(_ACTOR_OPTIONS)}")
    given: dict[str, Any] = {}
    for key, wanted in value.items():
        if key in _ACTOR_OPTIONS_WITHOUT_EFFECT or (wanted is None and key in _ACTOR_OPTIONS):
            continue
        if key == "runtime_env":
            given["env"], given["runtime_env"] = _runtime_env(wanted, f"{where}['runtime_env']")
            continue
        if key not in _ACTOR_OPTIONS:
            raise OptionError(f"{where} has an unknown key {key!r}; {_nearest(str(key), _ACTOR_OPTIONS)}")
        given[key] = _ACTOR_CHECKS[key](wanted, f"{where}[{key!r}]")
    return ActorOptions(**given)


def _runtime_env(value: Any, where: str) -> tuple[dict[str, str], dict[str, Any]]:
    """Return its environment variables, and what of the rest Ray sets up; `changed` says what has no effect."""
    if value is not None and not isinstance(value, Mapping):
        raise OptionError(f"{where} is {value!r}, and must be a dict")
    env = (value or {}).get("env_vars") or {}
    if not isinstance(env, Mapping) or not all(isinstance(text, str) for pair in env.items() for text in pair):
        raise OptionError(f"{where}['env_vars'] is {env!r}, and must be a dict of strings")
    rest = {key: wanted for key, wanted in (value or {}).items() if key in RUNTIME_ENV and wanted}
    try:
        return dict(env), json.loads(json.dumps(rest))
    except (TypeError, ValueError) as error:
        raise OptionError(f"{where} must be what JSON can hold, so that it can reach the replicas: {error}") from error


def _resources(value: Any, where: str) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise OptionError(f"{where} is {value!r}, and must be a dict of resource names and amounts")
    amount = _number(float, 0, "a number of at least 0")
    return {str(name): amount(wanted, f"{where}[{name!r}]") for name, wanted in value.items()}


_seconds = _number(float, 0, "a number of seconds of at least 0")
_ACTOR_CHECKS: Final[dict[str, Callable[[Any, str], Any]]] = {
    "num_cpus": _number(float, 0, "a number of at least 0"),
    "num_gpus": _number(float, 0, "a number of at least 0"),
    "memory": _number(int, 0, "a whole number of bytes"),
    "resources": _resources,
}
_CHECKS: Final[dict[str, Callable[[Any, str], Any]]] = {
    "num_replicas": _or_default(_replicas, 1),
    "max_ongoing_requests": _positive,
    "max_queued_requests": _number(int, -1, "a whole number of at least -1, which is no limit"),
    "user_config": _user_config,
    "ray_actor_options": _or_default(_actor_options, ActorOptions()),
    "max_replicas_per_node": _or_default(_per_node, None),
    "placement_group_bundles": _or_default(placement_group.bundles, None),
    "placement_group_strategy": _or_default(placement_group.strategy, None),
    "placement_group_bundle_label_selector": _or_default(placement_group.selectors, None),
    "gang_scheduling_config": _or_default(gang.config, None),
    "backpressure_config": _or_default(_backpressure, None),
    "logging_config": _or_default(_logging, None),
    "deployment_actors": _or_default(_deployment_actors, ()),
    "rolling_update_percentage": _or_default(_part, None),
    "max_surge_percent": _or_default(_percent, None),
    "max_constructor_retry_count": _or_default(_positive, None),
    "graceful_shutdown_wait_loop_s": _seconds,
    "graceful_shutdown_timeout_s": _seconds,
    "health_check_period_s": _number(float, 0.001, "a number of seconds above 0"),
    "health_check_timeout_s": _number(float, 0.001, "a number of seconds above 0"),
}
_NAMES: Final = tuple(
    dict.fromkeys(("name", "request_router_config", "autoscaling_config", *_CHECKS, *_WITHOUT_EFFECT))
)
KNOWN: Final = tuple(known.name for known in fields(DeploymentOptions))
