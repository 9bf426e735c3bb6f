"""Policies: functions of the user's that say how many replicas there should be, run in one of the replicas.

Nothing of this is on a request's way: the controller asks about once a second, over Ray. What user code raises becomes
a sentence.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class AutoscalingContext:
    """What a policy is told; the names are Ray Serve's."""

    app_name: str
    deployment_name: str
    current_num_replicas: int
    """Replicas that serve."""
    target_num_replicas: int
    """Replicas that were decided last."""
    total_num_requests: float
    total_queued_requests: float
    total_running_requests: float
    capacity_adjusted_min_replicas: int
    capacity_adjusted_max_replicas: int
    current_time: float
    """Seconds of Unix time."""
    last_scale_up_time: float | None = None
    last_scale_down_time: float | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the autoscaling that is in force."""
    policy_state: Mapping[str, Any] = field(default_factory=dict)
    """What the policy returned last beside its number."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a policy said."""

    replicas: int
    state: Mapping[str, Any]


class Policies:
    """The policies that one replica runs; each is imported, and constructed if it is a class, once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Callable[..., Any]] = {}

    async def ask(self, import_path: str, args: Mapping[str, Any], context: AutoscalingContext) -> Wish | str:
        """Return what the policy says, or what is wrong with it."""
        try:
            answer = await self._call(import_path, args, context)
            return _wish(answer)
        except Exception as error:  # noqa: BLE001 - whatever user code raises is told, not raised
            return f"policy {import_path}: {type(error).__name__}: {error}"

    async def _call(self, import_path: str, args: Mapping[str, Any], context: AutoscalingContext) -> Any:
        policy, given = self._policy(import_path, args)
        if inspect.iscoroutinefunction(policy) or inspect.iscoroutinefunction(getattr(policy, "__call__", None)):  # noqa: B004
            return await policy(context, **given)
        answer = await asyncio.to_thread(policy, context, **given)
        return await answer if inspect.isawaitable(answer) else answer

    def _policy(self, import_path: str, args: Mapping[str, Any]) -> tuple[Callable[..., Any], Mapping[str, Any]]:
        key = (import_path, repr(sorted(args.items())))
        if key not in self._known:
            module, _, attribute = import_path.partition(":")
            found: Any = importlib.import_module(module)
            for part in attribute.split("."):
                found = getattr(found, part)
            made: Any = found(**args) if inspect.isclass(found) else found
            self._known[key] = made
        policy = self._known[key]
        return policy, args if inspect.isroutine(policy) else {}


def _wish(answer: Any) -> Wish:
    number, state = answer if isinstance(answer, tuple) and len(answer) == 2 else (answer, None)
    if isinstance(number, bool) or not isinstance(number, int | float) or number != number:
        raise TypeError(f"it returned {number!r}, and must return a number of replicas")
    return Wish(max(0, round(number)), state if isinstance(state, Mapping) else {})
