"""Reservations: the placement groups that Ray holds for replicas, each named after its replica.

Effects on Ray, for `cluster`. A group is made before its replica's actor and removed after it; one whose replica there
is not, as a controller died in between, is found by its name and removed by the next controller.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

from ray.util.placement_group import (
    PlacementGroup,
    get_placement_group,
    placement_group,
    placement_group_table,
    remove_placement_group,
)

from remora.controller.state import NodeId
from remora.types import ReplicaId
from remora_api import wire_group

log = logging.getLogger("remora.controller")

ROOM_S: Final = 15.0
"""How long Ray may take to find the room that was decided on. What has just ended gives it back in milliseconds."""
_PREFIX: Final = "remora-replica:"
_NODE_LABEL: Final = "ray.io/node-id"

Call = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Calls Ray in a thread, translating what it raises."""


class NoRoom(Exception):
    """Ray did not find on the nodes what the controller believed to be free there."""


async def reserve(
    call: Call, replica: ReplicaId, group: wire_group.PlacementGroup, nodes: Collection[NodeId]
) -> PlacementGroup:
    """Make a replica's group, each bundle on its node, and return it when it has its room; raise NoRoom, ValueError."""
    selectors = group.selectors or ({},) * len(group.bundles)

    def make() -> PlacementGroup:
        return placement_group(
            bundles=[{name: amount for name, amount in bundle.items() if amount} for bundle in group.bundles],
            strategy=str(group.strategy),
            name=f"{_PREFIX}{replica}",
            lifetime="detached",
            bundle_label_selector=[
                {**selector, _NODE_LABEL: node} for selector, node in zip(selectors, nodes, strict=True)
            ],
        )

    made: PlacementGroup = await call(make)
    try:
        async with asyncio.timeout(ROOM_S):
            await made.ready()
    except TimeoutError:
        await call(lambda: remove_placement_group(made))
        raise NoRoom(
            f"Ray did not find the room of its placement group within {ROOM_S:g} s: something else holds it, "
            "perhaps tasks or actors of the application's own; `ray status` lists what is taken"
        ) from None
    return made


async def release(call: Call, replica: ReplicaId) -> None:
    """Remove a replica's group, if there is one."""

    def remove() -> None:
        try:
            found = get_placement_group(f"{_PREFIX}{replica}")
        except ValueError:
            return
        remove_placement_group(found)

    await call(remove)


async def release_all_but(call: Call, replicas: Collection[ReplicaId]) -> None:
    """Remove the groups of replicas that there are not."""
    table = await call(placement_group_table)
    names = {entry["name"] for entry in table.values() if entry["state"] != "REMOVED"}
    for name in sorted(names):
        replica = ReplicaId(name.removeprefix(_PREFIX))
        if name.startswith(_PREFIX) and replica not in replicas:
            log.warning("the placement group of replica %s was left over; removed", replica)
            await release(call, replica)
