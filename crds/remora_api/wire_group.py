"""The placement group of a replica on the wire: what it reserves beside its own process. Pure values, as in `wire`."""

from __future__ import annotations

from enum import StrEnum

from remora_api.message import Message


class Strategy(StrEnum):
    """How the bundles of a placement group lie to each other."""

    PACK = "PACK"
    """On one node where one is large enough, else on as few as possible."""
    STRICT_PACK = "STRICT_PACK"
    SPREAD = "SPREAD"
    """On as many nodes as there are, a bundle on each at best."""
    STRICT_SPREAD = "STRICT_SPREAD"

    @property
    def packs(self) -> bool:
        """Whether bundles belong on one node."""
        return self in (Strategy.PACK, Strategy.STRICT_PACK)


class Gang(Message, frozen=True, kw_only=True):
    """Replicas that are placed together, and restarted together."""

    size: int
    strategy: Strategy = Strategy.PACK
    """PACK or SPREAD: of the replicas to each other, as far as there is room."""


def gangs_for(replicas: int, size: int) -> int:
    """Return how many gangs of a size so many replicas are: a part of one is a whole one."""
    return -(-replicas // size)


class PlacementGroup(Message, frozen=True, kw_only=True):
    """What one replica reserves: it runs in the first bundle, and what it starts in any of them."""

    bundles: tuple[dict[str, float], ...]
    """Amounts by Ray's names of resources: ``{"CPU": 1, "GPU": 1}``."""
    strategy: Strategy = Strategy.PACK
    selectors: tuple[dict[str, str], ...] = ()
    """What the labels of each bundle's node have to be; one for each bundle, or none at all."""
