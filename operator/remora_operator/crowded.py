"""Crowded: deployments whose replicas find no room although all pods are there that were counted for them.

Pure. Then the packing that counted the pods is not the one that came about: others stand where theirs have to be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from remora_api import wire


def crowded(
    status: wire.ApplicationStatus | None,
    targets: Iterable[wire.GroupTarget],
    wanted: Mapping[str, int],
    nodes: Mapping[str, wire.NodeStatus] | None,
) -> tuple[str, ...]:
    """Return the deployments for which the controller has to move others.

    `wanted` is the number of pods by group, `nodes` what the controller has by the pod's name, None while nobody knows.
    With pods still to come, or to go, there is nothing to say yet: what lacks room may get it without a move.
    """
    if status is None or nodes is None:
        return ()
    there = Counter((it.group, it.template) for it in nodes.values() if not it.draining)
    if there != Counter({(it.name, it.template): wanted[it.name] for it in targets if wanted[it.name]}):
        return ()
    return tuple(it.name for it in status.deployments if it.total < it.desired and not it.failing)
