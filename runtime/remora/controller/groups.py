"""Groups: on which node each bundle of a replica's placement group goes.

Pure. Ray would find nodes by itself; but then two would decide about room, and the operator could not count pods for
what has none. So each bundle is told its node, and the group has its room or is not made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from remora.controller import placement
from remora.controller.state import Node, NodeId
from remora_api import bundles
from remora_api.ray_labels import suits
from remora_api.wire import Resources
from remora_api.wire_group import PlacementGroup, Strategy

Assignment = tuple[NodeId, ...]
"""The node of each bundle, in the order of the bundles."""
Held = Mapping[NodeId, Sequence[Resources]]


def assign(group: PlacementGroup, nodes: Sequence[Node], held: Held, *, divided: bool = True) -> Assignment | None:
    """Return where the bundles go, or None while there is no room for all of them.

    `nodes` are in the order in which the replica would choose them. With PACK, bundles that would fit on no node
    together even if it were empty are divided over as few as possible; the others wait for such a node, as the operator
    brings one, unless they may be `divided` at once.
    """
    wanted = bundles.of(group)
    match group.strategy:
        case Strategy.STRICT_PACK | Strategy.PACK:
            together = _together(group, wanted, nodes, held)
            if together is not None or group.strategy is Strategy.STRICT_PACK:
                return together
            if not divided and _together(group, wanted, nodes, {}) is not None:
                return None
            return _few(group, wanted, nodes, held)
        case Strategy.SPREAD:
            return _many(group, wanted, nodes, held)
        case Strategy.STRICT_SPREAD:
            return _apart(group, wanted, nodes, held)


def _is_labelled(group: PlacementGroup, index: int, node: Node) -> bool:
    return not group.selectors or suits(group.selectors[index], node.labels)


def _takes(group: PlacementGroup, index: int, needs: Resources, node: Node, held: Sequence[Resources]) -> bool:
    """Tell whether a bundle may be on a node, and has room there."""
    return _is_labelled(group, index, node) and placement.takes(needs, node, held)


def _in_order(places: Mapping[int, NodeId]) -> Assignment:
    return tuple(places[index] for index in range(len(places)))


def _together(
    group: PlacementGroup, wanted: Sequence[Resources], nodes: Sequence[Node], held: Held
) -> Assignment | None:
    needs = bundles.total(wanted)
    for node in nodes:
        labelled = all(_is_labelled(group, index, node) for index in range(len(wanted)))
        if labelled and placement.takes(needs, node, held.get(node.id, ())):
            return (node.id,) * len(wanted)
    return None


def _few(group: PlacementGroup, wanted: Sequence[Resources], nodes: Sequence[Node], held: Held) -> Assignment | None:
    """Fill the node that takes most of what is left, then the next."""
    places: dict[int, NodeId] = {}
    left = list(nodes)
    while len(places) < len(wanted):
        filled = [_filled(group, wanted, places, node, held) for node in left]
        best = max(range(len(left)), key=lambda index: (len(filled[index]), -index), default=None)
        if best is None or not filled[best]:
            return None
        places |= dict.fromkeys(filled[best], left.pop(best).id)
    return _in_order(places)


def _filled(
    group: PlacementGroup, wanted: Sequence[Resources], places: Mapping[int, NodeId], node: Node, held: Held
) -> list[int]:
    """Return the bundles, of those without a place, that one node takes, the largest first."""
    taken = list(held.get(node.id, ()))
    found: list[int] = []
    for index in _by_size(wanted):
        if index not in places and _takes(group, index, wanted[index], node, taken):
            taken.append(wanted[index])
            found.append(index)
    return found


def _many(group: PlacementGroup, wanted: Sequence[Resources], nodes: Sequence[Node], held: Held) -> Assignment | None:
    """Put each bundle on the node that has the fewest of them."""
    mine: dict[NodeId, list[Resources]] = {node.id: [] for node in nodes}
    places: dict[int, NodeId] = {}
    for index in _by_size(wanted):
        fitting = [
            node
            for node in nodes
            if _takes(group, index, wanted[index], node, [*held.get(node.id, ()), *mine[node.id]])
        ]
        best = min(fitting, key=lambda node: len(mine[node.id]), default=None)
        if best is None:
            return None
        mine[best.id].append(wanted[index])
        places[index] = best.id
    return _in_order(places)


def _apart(group: PlacementGroup, wanted: Sequence[Resources], nodes: Sequence[Node], held: Held) -> Assignment | None:
    """Give each bundle a node of its own; one that is taken is given up where its bundle has another."""
    fitting = [
        [node.id for node in nodes if _takes(group, index, needs, node, held.get(node.id, ()))]
        for index, needs in enumerate(wanted)
    ]
    owner: dict[NodeId, int] = {}

    def take(index: int, asked: set[NodeId]) -> bool:
        for node in fitting[index]:
            if node not in asked:
                asked.add(node)
                if node not in owner or take(owner[node], asked):
                    owner[node] = index
                    return True
        return False

    if not all(take(index, set()) for index in range(len(wanted))):
        return None
    places = {index: node for node, index in owner.items()}
    return _in_order(places)


def _by_size(wanted: Sequence[Resources]) -> list[int]:
    return sorted(range(len(wanted)), key=lambda index: wanted[index].size, reverse=True)
