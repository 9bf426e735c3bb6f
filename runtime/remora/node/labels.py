"""Labels of a Ray node: what a worker pod tells the controller of itself when it joins. Pure."""

from __future__ import annotations

from typing import Final

from remora_api.ray_labels import GROUP

__all__ = ["CPU_MILLI", "GROUP", "HOST", "MEMORY_BYTES", "POD", "TEMPLATE"]

TEMPLATE: Final = "remora.dev/template"
POD: Final = "remora.dev/pod"
HOST: Final = "remora.dev/node"
"""The Kubernetes node below the pod."""
CPU_MILLI: Final = "remora.dev/cpu-milli"
MEMORY_BYTES: Final = "remora.dev/memory-bytes"
