"""Packing: in which order pods are tried for one more replica. Operator and controller pack alike. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

Pod = TypeVar("Pod")


def tried(opened: Sequence[Pod], fresh: Iterable[Pod], last: Sequence[Pod] = ()) -> Iterator[Pod]:
    """Yield the pods that hold something in the order in which they were opened, then the fresh ones; first fit.

    `last` are of the opened ones, and come behind the fresh ones: what should be apart goes there if it must.
    """
    yield from (pod for pod in opened if pod not in last)
    yield from fresh
    yield from last
