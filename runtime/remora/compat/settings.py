"""The variables of Ray's that programs written for it rely on, where `PrometheusQueryMixin` is told nothing else."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class PrometheusSettings:
    """Where Prometheus is, and what it wants to hear with each question."""

    address: str
    headers: str
    """JSON: an object, or a list of pairs."""

    @classmethod
    def read(cls) -> Self:
        """Read RAY_PROMETHEUS_HOST and RAY_PROMETHEUS_HEADERS."""
        env = os.environ  # noqa: TID251 - this is a settings.py
        return cls(env.get("RAY_PROMETHEUS_HOST", ""), env.get("RAY_PROMETHEUS_HEADERS") or "{}")
