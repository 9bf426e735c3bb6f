"""Pruning: which children nobody wants any more, and when they may go.

Pure. Another Ray cluster goes once every proxy sends its requests elsewhere and its controller has drained it.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from datetime import datetime

from remora_operator.incarnations import Clusters, is_lost
from remora_operator.kinds import Ref
from remora_operator.observed import Child, Observed


def pruned(
    application: str,
    observed: Observed,
    kept: Set[Ref],
    finished: Set[Ref],
    clusters: Clusters,
    *,
    without_cluster: bool,
    is_routed: bool,
    now: datetime,
) -> Iterable[Child]:
    """Return children that nobody wants any more: neither ``kept``, nor ReplicaSets that are not ``finished`` yet.

    ReplicaSets of a cluster that stays go only when they are empty. Another Ray cluster goes once every proxy sends its
    requests elsewhere, so not in the same breath in which the routing is decided, and once its controller has drained
    it: pods that all end at once would take deployments away from others that still work on a request.
    """
    drained = {it for it in left(observed, clusters) if _is_drained(it, application, observed, now)}
    for ref, child in observed.children.items():
        if ref in kept:
            continue
        if without_cluster or child.incarnation == 0:
            yield child
        elif child.incarnation in clusters.kept:
            if ref in finished:
                yield child
        elif is_routed and child.incarnation in drained:
            yield child


def left(observed: Observed, clusters: Clusters) -> tuple[int, ...]:
    """Return the Ray clusters that are there and need not stay."""
    return tuple(sorted({it.incarnation for it in observed.children.values()} - clusters.kept - {0}))


def _is_drained(number: int, application: str, observed: Observed, now: datetime) -> bool:
    """Whether no replica is left in a Ray cluster, or nobody is there who could drain them."""
    if is_lost(observed.head_pod(number), now):
        # Its controller answers without a word: it waits for tables that never come.
        return True
    view = observed.controller(number)
    return not view.is_untried and (not view.is_reachable or view.application(application) is None)
