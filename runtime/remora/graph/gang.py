"""The option of a deployment that makes gangs of its replicas: checked as Ray Serve checks it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remora.errors import OptionError


def config(value: Any, where: str) -> dict[str, Any]:
    """Return the fields of a `compat.gang.GangSchedulingConfig`; raise OptionError."""
    from remora.compat import checking
    from remora.compat.gang import GangSchedulingConfig

    return checking.as_dict(GangSchedulingConfig, value, where)


def check(
    found: Mapping[str, Any] | None,
    where: str,
    *,
    replicas: int | None,
    max_replicas_per_node: int | None,
    placement_group_strategy: str | None,
) -> None:
    """Raise OptionError where what `config` returned contradicts other options; no replicas is by autoscaling."""
    if found is None:
        return
    size = found["gang_size"]
    if replicas is not None and replicas % size:
        raise OptionError(f"{where}: num_replicas ({replicas}) must be a multiple of gang_size ({size})")
    for option, value, more in (
        ("max_replicas_per_node", max_replicas_per_node, ""),
        ("placement_group_strategy", placement_group_strategy, ", and say gang_placement_strategy"),
    ):
        if value:
            raise OptionError(
                f"{where}: option {option} cannot be set beside gang_scheduling_config: leave it out{more}"
            )


def fields(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the fields of `remora_api.wire_group.Gang`; None where replicas are on their own."""
    return None if found is None else {"size": found["gang_size"], "strategy": found["gang_placement_strategy"]}
