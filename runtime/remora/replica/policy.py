"""Policies: functions of the user's that say how many replicas there should be, run in one of the replicas.

Nothing of this is on a request's way: the controller asks about once a second, over Ray. What user code raises becomes
a sentence. What a policy remembers travels as bytes that only replicas read: the controller runs no code of users, and
unpickling their objects would be just that.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import logging
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import cloudpickle

from remora.graph.autoscaling import AutoscalingConfig
from remora.handle.identity import DeploymentID, ReplicaID
from remora.replica.stats import Series, TimeStampedValue, aggregated

log = logging.getLogger("remora.replica")

MAX_STATE_BYTES: Final = 1 << 20
"""Of one deployment's state: the controller keeps it."""


@dataclass(frozen=True, slots=True)
class AutoscalingContext:
    """What a policy is told of one deployment; the names, and their order, are Ray Serve's."""

    deployment_id: DeploymentID
    deployment_name: str
    app_name: str | None
    current_num_replicas: int
    """Replicas that serve."""
    target_num_replicas: int
    """Replicas that were decided last."""
    running_replicas: tuple[ReplicaID, ...]
    total_num_requests: float
    """Requests that wait or are worked on, over the look-back period."""
    total_queued_requests: float
    """Those of them that wait."""
    aggregated_metrics: Mapping[str, Mapping[ReplicaID, float]]
    """What the replicas' `record_autoscaling_stats` returned, by name: the `aggregation_function` of it."""
    raw_metrics: Mapping[str, Mapping[ReplicaID, list[TimeStampedValue]]]
    """The same, each value of the look-back period."""
    capacity_adjusted_min_replicas: int
    capacity_adjusted_max_replicas: int
    policy_state: dict[str, Any]
    """What the policy returned last beside its number."""
    last_scale_up_time: float | None
    last_scale_down_time: float | None
    current_time: float | None
    """Seconds of Unix time."""
    config: Any
    """The `AutoscalingConfig` that is in force."""

    @property
    def total_running_requests(self) -> float:
        """Requests that are worked on."""
        return max(0.0, self.total_num_requests - self.total_queued_requests)


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """An AutoscalingContext on its way from the controller to a replica."""

    deployment: str
    current: int
    target: int
    replicas: tuple[str, ...]
    requests: float
    queued: float
    least: int
    most: int
    scaled_up_at: float | None
    scaled_down_at: float | None
    limits: Mapping[str, Any]
    """Fields of a `remora_api.autoscaling.Autoscaling`."""
    state: bytes = b""
    """As a `Wish` had it; empty at first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyQuestion:
    """A policy, and what it is asked about."""

    import_path: str
    args: Mapping[str, Any]
    application: str
    situations: tuple[Situation, ...]
    now: float
    of_application: bool = False
    """It decides for all of an application's deployments together, and takes a dict of contexts."""

    def look_back_s(self) -> dict[str, float]:
        """Return the look-back period of each replica that it is about, by the replica's name."""
        return {name: float(it.limits["look_back_period_s"]) for it in self.situations for name in it.replicas}


@dataclass(frozen=True, slots=True)
class Wish:
    """What a policy said of one deployment."""

    replicas: int | None
    """None is nothing: leave it as it is."""
    state: bytes = b""
    """Pickled, for replicas only."""


Answer = Mapping[str, Wish] | str
"""Wishes by deployment, or what is wrong with the policy."""


class Policies:
    """The policies that one replica runs; each is imported, and constructed if it is a class, once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], _Policy] = {}

    async def ask(self, question: PolicyQuestion, recorded: Mapping[str, Series] = MappingProxyType({})) -> Answer:
        """Return what the policy says, or what is wrong with it; `recorded` is by replica."""
        contexts = {context.deployment_id: context for context in _contexts(question, recorded)}
        try:
            if question.of_application:
                return _wishes(await self._call(question, contexts), contexts)
            ((id_, context),) = contexts.items()
            return {id_.name: _wish(await self._call(question, context))}
        except Exception as error:  # noqa: BLE001 - whatever user code raises is told, not raised
            return f"policy {question.import_path}: {type(error).__name__}: {error}"

    async def _call(self, question: PolicyQuestion, argument: Any) -> Any:
        key = (question.import_path, repr(sorted(question.args.items())))
        if key not in self._known:
            self._known[key] = _Policy(question.import_path, question.args)
        return await self._known[key].ask(argument)


class _Policy:
    """One policy, in a thread that has an event loop of its own.

    As in Ray Serve it may start tasks there that outlast a call. A call that blocks holds up this policy alone.
    """

    def __init__(self, import_path: str, args: Mapping[str, Any]) -> None:
        self._import_path = import_path
        self._args = args
        self._made: Callable[..., Any] | None = None
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name=f"policy-{import_path}", daemon=True).start()

    async def ask(self, argument: Any) -> Any:
        """Return what it says, or raise what it raises."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._said(argument), self._loop))

    async def _said(self, argument: Any) -> Any:
        if self._made is None:
            self._made = self._make()
        answer = self._made(argument, **(self._args if inspect.isroutine(self._made) else {}))
        return await answer if inspect.isawaitable(answer) else answer

    def _make(self) -> Callable[..., Any]:
        module, _, attribute = self._import_path.partition(":")
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
        made: Any = found(**self._args) if inspect.isclass(found) else found
        policy: Callable[..., Any] = made
        return policy


def _contexts(question: PolicyQuestion, recorded: Mapping[str, Series]) -> list[AutoscalingContext]:
    return [_context(question, it, recorded) for it in question.situations]


def _context(question: PolicyQuestion, it: Situation, recorded: Mapping[str, Series]) -> AutoscalingContext:
    application, config = question.application, AutoscalingConfig.in_force(it.limits)
    raw: dict[str, dict[ReplicaID, list[TimeStampedValue]]] = {}
    for replica in it.replicas:
        for name, values in recorded.get(replica, {}).items():
            raw.setdefault(name, {})[ReplicaID.of(replica, application, it.deployment)] = list(values)
    function = config.aggregation_function
    return AutoscalingContext(
        deployment_id=DeploymentID(it.deployment, application),
        deployment_name=it.deployment,
        app_name=application,
        current_num_replicas=it.current,
        target_num_replicas=it.target,
        running_replicas=tuple(ReplicaID.of(id_, application, it.deployment) for id_ in it.replicas),
        total_num_requests=it.requests,
        total_queued_requests=it.queued,
        aggregated_metrics={
            name: {id_: aggregated(values, function, question.now) for id_, values in by_replica.items()}
            for name, by_replica in raw.items()
        },
        raw_metrics=raw,
        capacity_adjusted_min_replicas=it.least,
        capacity_adjusted_max_replicas=it.most,
        policy_state=_state(it.state),
        last_scale_up_time=it.scaled_up_at,
        last_scale_down_time=it.scaled_down_at,
        current_time=question.now,
        config=config,
    )


def _wishes(answer: Any, contexts: Mapping[DeploymentID, AutoscalingContext]) -> Mapping[str, Wish]:
    """Return what an application's policy says; raise TypeError or ValueError for what it must not return."""
    numbers, states = answer if isinstance(answer, tuple) and len(answer) == 2 else (answer, None)
    states = {} if states is None else states
    for found in (numbers, states):
        if not isinstance(found, Mapping):
            raise TypeError(f"it returned {found!r}, and must return a dict by deployment, or two of them")
    numbers, states = _by_name(numbers, contexts), _by_name(states, contexts)
    return {
        id_.name: Wish(
            _whole(numbers[id_.name]) if id_.name in numbers else None, _kept(states.get(id_.name), id_.name)
        )
        for id_ in contexts
    }


def _by_name(given: Mapping[Any, Any], contexts: Mapping[DeploymentID, AutoscalingContext]) -> dict[str, Any]:
    names = {id_.name for id_ in contexts}
    found = {key if isinstance(key, str) else getattr(key, "name", key): value for key, value in given.items()}
    for name in found:
        if name not in names:
            raise ValueError(f"it returned something for {name!r}; the autoscaled deployments are {sorted(names)}")
    return found


def _wish(answer: Any) -> Wish:
    number, state = answer if isinstance(answer, tuple) and len(answer) == 2 else (answer, None)
    return Wish(_whole(number), _kept(state, ""))


def _whole(number: Any) -> int:
    """Return a number of replicas, rounded up as Ray Serve does: a little work is work for one."""
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        raise TypeError(f"it returned {number!r}, and must return a number of replicas")
    return max(0, math.ceil(number))


def _kept(state: Any, deployment: str) -> bytes:
    """Return a policy's state as bytes; what is no dict is no state, as in Ray Serve's deployment policies."""
    if not isinstance(state, Mapping) or not state:
        if deployment and state is not None and not isinstance(state, Mapping):
            raise TypeError(f"its state for {deployment} is {state!r}, and must be a dict")
        return b""
    kept: bytes = cloudpickle.dumps(dict(state))
    if len(kept) > MAX_STATE_BYTES:
        raise ValueError(f"its state takes {len(kept)} bytes, and may take {MAX_STATE_BYTES}")
    return kept


def _state(kept: bytes) -> dict[str, Any]:
    """Return the state that a policy, here or in another replica, returned last."""
    if not kept:
        return {}
    try:
        found: dict[str, Any] = cloudpickle.loads(kept)
    except Exception as error:  # noqa: BLE001 - of another version of the user's code: whatever it raises, begin anew
        log.warning(
            "the state of a policy cannot be read any more, and is forgotten: %s: %s", type(error).__name__, error
        )
        return {}
    return found
