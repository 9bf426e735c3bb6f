"""The option of a deployment that makes gangs of its replicas: checked as Ray Serve checks it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from remora.errors import OptionError

if TYPE_CHECKING:
    from remora.graph.options import DeploymentOptions


def config(value: Any, where: str) -> dict[str, Any]:
    """Return the fields of a `compat.gang.GangSchedulingConfig`; raise OptionError."""
    from remora.compat import checking
    from remora.compat.gang import GangSchedulingConfig

    return checking.as_dict(GangSchedulingConfig, value, where)


def check(options: DeploymentOptions, where: str) -> None:
    """Raise OptionError where the options contradict each other."""
    if options.gang_scheduling_config is None:
        return
    size = options.gang_scheduling_config["gang_size"]
    if options.autoscaling is None and options.replicas % size:
        raise OptionError(f"{where}: num_replicas ({options.replicas}) must be a multiple of gang_size ({size})")
    for option in ("max_replicas_per_node", "placement_group_strategy"):
        if getattr(options, option):
            raise OptionError(
                f"{where}: option {option} cannot be set beside gang_scheduling_config: leave it out"
                + (", and say gang_placement_strategy" if option == "placement_group_strategy" else "")
            )


def fields(options: DeploymentOptions) -> dict[str, Any] | None:
    """Return the fields of `remora_api.wire_group.Gang`; None where replicas are on their own."""
    found = options.gang_scheduling_config
    return None if found is None else {"size": found["gang_size"], "strategy": found["gang_placement_strategy"]}
