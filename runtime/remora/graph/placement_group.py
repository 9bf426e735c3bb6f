"""The options of a deployment that give each replica a placement group: checked as Ray Serve checks them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from remora.errors import OptionError
from remora.graph.actor_options import ActorOptions

OPTIONS: Final = (
    "placement_group_bundles",
    "placement_group_strategy",
    "placement_group_bundle_label_selector",
)

STRATEGIES: Final = ("PACK", "STRICT_PACK", "SPREAD", "STRICT_SPREAD")
"""Ray's, the first by default: those of `remora_api.wire_group.Strategy`, which a decorator need not import."""

Bundles = tuple[Mapping[str, float], ...]
Selectors = tuple[Mapping[str, str], ...]

_VALUE = r"[a-zA-Z0-9](?:[a-zA-Z0-9_.-]{0,61}[a-zA-Z0-9])?"
_SELECTOR: Final = re.compile(rf"!?{_VALUE}|!?(?:in)?\({_VALUE}(?:, ?{_VALUE})*\)|")


def bundles(value: Any, where: str) -> Bundles:
    """Return what each bundle holds, by Ray's names of resources; raise OptionError."""
    wanted = f'{where} is {value!r}, and must be a list of resources for each bundle, as [{{"CPU": 1}}, {{"GPU": 1}}]'
    if not isinstance(value, list | tuple) or not value:
        raise OptionError(wanted)
    for bundle in value:
        if not isinstance(bundle, Mapping) or not all(isinstance(name, str) for name in bundle):
            raise OptionError(wanted)
        if not all(_is_amount(amount) for amount in bundle.values()):
            raise OptionError(f"{where} has the bundle {bundle!r}, and amounts must be numbers of at least 0")
        if not any(bundle.values()):
            raise OptionError(f"{where} has the bundle {bundle!r}, which holds nothing: leave it out")
    return tuple({name: float(amount) for name, amount in bundle.items()} for bundle in value)


def strategy(value: Any, where: str) -> str:
    """Return one of Ray's strategies; raise OptionError."""
    if value not in STRATEGIES:
        raise OptionError(f"{where} is {value!r}, and must be one of {', '.join(STRATEGIES)}")
    return str(value)


def selectors(value: Any, where: str) -> Selectors:
    """Return what the labels of each bundle's node have to be; raise OptionError."""
    if not isinstance(value, list | tuple) or not all(_is_selector(one) for one in value):
        raise OptionError(
            f'{where} is {value!r}, and must be a list of labels with their values, as [{{"ray.io/market-type": '
            '"spot"}]; a value may begin with ! and may be in(a, b)'
        )
    return tuple(dict(one) for one in value)


def check(
    found: Bundles | None,
    strategy: str | None,
    selected: Selectors | None,
    where: str,
    *,
    actor: ActorOptions,
    max_replicas_per_node: int | None,
) -> None:
    """Raise OptionError where the options contradict each other or what the replica itself needs."""
    if found is None:
        for option, value in zip(OPTIONS[1:], (strategy, selected), strict=True):
            if value:
                raise OptionError(f"{where}: option {option} needs placement_group_bundles beside it")
        return
    if max_replicas_per_node:
        raise OptionError(
            f"{where}: option max_replicas_per_node cannot be set beside placement_group_bundles: leave one of them out"
        )
    if selected and len(selected) not in (1, len(found)):
        raise OptionError(
            f"{where}: option placement_group_bundle_label_selector has {len(selected)} selectors for {len(found)} "
            "bundles: give one for all of them, or one for each"
        )
    needs = {"CPU": ("num_cpus", actor.num_cpus), "GPU": ("num_gpus", actor.num_gpus)}
    needs |= {name: (name, amount) for name, amount in actor.resources.items()}
    for name, (option, amount) in needs.items():
        if amount > found[0].get(name, 0):
            raise OptionError(
                f"{where}: a replica runs in the first bundle of placement_group_bundles, which has "
                f"{found[0].get(name, 0):g} {name}; its ray_actor_options must be a subset of that, and {option} is "
                f"{amount:g}{' unless it is given' if (option, amount) == ('num_cpus', 1) else ''}"
            )


def fields(found: Bundles | None, strategy: str | None, selected: Selectors | None) -> dict[str, Any] | None:
    """Return the fields of `remora_api.wire_group.PlacementGroup`; None without bundles."""
    if found is None:
        return None
    selected = selected or ()
    return {
        "bundles": [dict(bundle) for bundle in found],
        "strategy": strategy or STRATEGIES[0],
        "selectors": [dict(one) for one in (selected * len(found) if len(selected) == 1 else selected)],
    }


def _is_amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")


def _is_selector(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and isinstance(wanted, str) and _SELECTOR.fullmatch(wanted)
        for name, wanted in value.items()
    )
