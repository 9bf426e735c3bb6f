"""Actors that all replicas of a deployment share, as its definition holds them: pickled, for whoever starts them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from remora.errors import GraphError

if TYPE_CHECKING:
    from remora.compat.deployment_actor import DeploymentActorConfig

_REMORAS: Final = ("name", "namespace", "lifetime", "get_if_exists", "max_restarts", "num_cpus")
"""Options of Ray's that Remora decides."""


@dataclass(frozen=True, slots=True)
class SharedActor:
    """One actor, ready to be constructed."""

    name: str
    cls: type
    """As the user wrote it, without what @ray.remote made of it."""
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    options: Mapping[str, Any]
    """For Ray: those of the decorator under those of the configuration."""


@dataclass(frozen=True, slots=True)
class Pickled:
    """A SharedActor in a definition."""

    name: str
    data: bytes


def of(deployment: str, configs: tuple[DeploymentActorConfig, ...]) -> Iterator[SharedActor]:
    """Yield the actors of a deployment; raise GraphError where one cannot be imported."""
    for config in configs:
        where = f"deployment {deployment!r}: deployment actor {config.name!r}"
        decorated = config.given_class or _imported(config.actor_class, where)
        options = {**getattr(decorated, "_default_options", {}), **config.actor_options}
        yield SharedActor(
            config.name,
            decorated.__ray_actor_class__,
            config.init_args,
            config.init_kwargs,
            {option: value for option, value in options.items() if option not in _REMORAS},
        )


def _imported(path: str, where: str) -> Any:
    module, colon, attribute = path.partition(":") if ":" in path else path.rpartition(".")
    if not (module and colon and attribute):
        raise GraphError(f"{where}: actor_class {path!r} must be module:Class, for instance trees:PrefixTree")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise GraphError(f"{where}: actor_class {path!r}: {type(error).__name__}: {error}") from error
    if not hasattr(found, "__ray_actor_class__"):
        raise GraphError(f"{where}: actor_class {path!r} names no class that @ray.remote decorates")
    return found
