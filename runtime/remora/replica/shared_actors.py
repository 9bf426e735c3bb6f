"""The deployment actors of this replica: started by whichever replica is first, found by all others of its version.

Ray starts them again when their process dies, with the arguments of the first time. One that is gone for good (killed,
or with its node) is made anew for the next who asks. The controller ends them with the last replica of their version.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from remora.errors import OptionError, RemoraError
from remora.graph.definition import Definition
from remora.graph.shared_actor import Pickled, SharedActor
from remora.replica import actor_names, context, failure
from remora.replica.actor_names import NAMESPACE
from remora.replica.config import ReplicaConfig
from remora.replica.shared_actor import ActorPlan, host, read


@dataclass(frozen=True, slots=True)
class _Kept:
    plan: ActorPlan
    shared: SharedActor


_kept: Mapping[str, _Kept] = {}
"""Those of this process, by name."""


async def start(found: Definition, config: ReplicaConfig) -> None:
    """Start what is not there yet, and wait until all are ready; raise DeploymentFailure."""
    global _kept
    _kept = {it.name: _keep(it, found.deployment, config) for it in found.actors}
    for name, kept in _kept.items():
        with failure.of(found.deployment, f"deployment actor {name!r} cannot be started"):
            handle = await asyncio.to_thread(_find, kept)
            try:
                await handle.__ray_ready__.remote()
            except Exception as error:
                lines = [line.strip() for line in str(error).splitlines() if line.strip()]
                raise failure.DeploymentFailure(
                    f"deployment {found.deployment!r}: deployment actor {name!r} failed: {lines[-1]}", str(error)
                ) from error


def get(name: str) -> Any:
    """Return the handle of an actor; raise RemoraError outside of replicas, and OptionError where there is none."""
    here = context.current()
    if here is None:
        raise RemoraError("serve.get_deployment_actor() works in a deployment's methods only, on a replica")
    if name not in _kept:
        known = f"it has {', '.join(map(repr, _kept))}" if _kept else "it has none, or this replica is not one on Ray"
        raise OptionError(f"deployment {here.deployment!r} has no deployment actor {name!r}: {known}")
    return _find(_kept[name])


def _keep(pickled: Pickled, deployment: str, config: ReplicaConfig) -> _Kept:
    with failure.of(deployment, f"deployment actor {pickled.name!r} cannot be loaded here"):
        shared = read(pickled.data)
    plan = ActorPlan(
        data=pickled.data,
        name=pickled.name,
        owner=(config.application, config.deployment, config.version),
        code=config.code,
        controller_url=config.controller_url,
        env=config.env,
        working_dir=config.working_dir,
        worker_env=config.worker_env,
    )
    return _Kept(plan, shared)


def _find(kept: _Kept) -> Any:
    """Return the actor's handle; it is made when there is none."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    name = actor_names.name(kept.plan.owner, kept.plan.name)
    try:
        return ray.get_actor(name, namespace=NAMESPACE)
    except ValueError:
        pass
    node = ray.get_runtime_context().get_node_id()
    # Beside this replica, unless the user says otherwise: never on a head, which runs no user code.
    placed = {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}
    options = {**placed, **kept.shared.options, "num_cpus": 0, "max_restarts": -1}
    return (
        ray.remote(host(kept.shared.cls))
        .options(name=name, namespace=NAMESPACE, lifetime="detached", get_if_exists=True, **options)
        .remote(kept.plan)
    )
