"""Bundles of placement groups as resources: operator and controller count them alike. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from remora_api.wire import Resources
from remora_api.wire_group import PlacementGroup, Strategy


def of(group: PlacementGroup) -> tuple[Resources, ...]:
    """Return what each bundle takes of its node."""
    return tuple(
        Resources(
            cpu_milli=round(bundle.get("CPU", 0) * 1000),
            memory_bytes=round(bundle.get("memory", 0)),
            custom={name: amount for name, amount in bundle.items() if name not in ("CPU", "memory") and amount},
        )
        for bundle in group.bundles
    )


def apart(parts: Iterable[Resources]) -> PlacementGroup:
    """Return the group of which each part is on a node of its own."""
    return PlacementGroup(
        bundles=tuple(
            {"CPU": part.cpu_milli / 1000, "memory": float(part.memory_bytes), **part.custom} for part in parts
        ),
        strategy=Strategy.STRICT_SPREAD,
    )


def total(parts: Iterable[Resources]) -> Resources:
    """Return what all parts take together."""
    parts = tuple(parts)
    names = {name: None for part in parts for name in part.custom}
    return Resources(
        cpu_milli=sum(part.cpu_milli for part in parts),
        memory_bytes=sum(part.memory_bytes for part in parts),
        custom={name: sum(part.custom.get(name, 0) for part in parts) for name in names},
    )


def holding(group: PlacementGroup, own: Resources) -> PlacementGroup:
    """Return the group with a first bundle in which a replica of these resources has room.

    The code's own options fit, or are refused; what the resource says of a deployment may be more.
    """
    first, *others = group.bundles
    wanted = {"CPU": own.cpu_milli / 1000, **own.custom}
    grown = {**first, **{name: amount for name, amount in wanted.items() if amount > first.get(name, 0)}}
    return group.but(bundles=(grown, *others))
