"""What all applications of one operator share: the defaults that the chart's values set.

Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from remora_api import keys


@dataclass(frozen=True, slots=True)
class Installation:
    """Where the operator runs and what it gives to pods that do not ask for something else."""

    runtime_image: str
    """Image of heads, workers and proxies."""
    master_key: bytes = field(repr=False)
    namespace: str
    """Of the operator; its pods may reach controllers and proxies."""

    def key(self, uid: str, purpose: keys.Purpose) -> str:
        """Return a key of the application with this uid."""
        return keys.derive(self.master_key, uid, purpose, KEY_GENERATION)


KEY_GENERATION = 1
"""Counts rotations of an application's keys."""
