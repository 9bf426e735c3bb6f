"""What a replica reserves beside its own process: the bundles of its placement group."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from remora_api.model import Rule
from remora_api.v1alpha1.pods import Resources

Bundle = Annotated[
    Resources,
    Rule(
        "size(self) > 0",
        "a bundle holds something, for instance {cpu: 1, nvidia.com/gpu: 1}: name it, or leave the bundle out",
        lambda bundle: bool(bundle.root),
    ),
]


class BundleStrategy(StrEnum):
    """How the bundles of a replica lie to each other; the members have Ray's names."""

    PACK = "Pack"
    STRICT_PACK = "StrictPack"
    SPREAD = "Spread"
    STRICT_SPREAD = "StrictSpread"
