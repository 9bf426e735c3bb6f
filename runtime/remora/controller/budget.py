"""Budget: how far a rollout of one deployment may go, from what the resource and the code say.

Pure. What the resource says of the deployment holds before what its code says, and that before what the resource says
of the whole application. The code's options are Ray Serve's, in parts of the number of replicas.
"""

from __future__ import annotations

from remora.controller.rollout import Budget
from remora.controller.state import Deployment
from remora_api.wire import Target


def of(target: Target, deployment: Deployment) -> Budget:
    """Return the surge and the unavailability of a deployment.

    By the latest target, not by the one that is served: where no node has room for a pod of the new template there is
    nothing to build the new target on, until a replica of the old one is free to go.

    Example: of 10 replicas, max_surge_percent=25 starts up to 3 more; rolling_update_percentage=0.2 alone replaces 2 at
    a time, successors first; with max_surge_percent=0 as well, 2 at a time go before their successors come.
    """
    surge, missing = target.max_surge, target.max_unavailable
    percent, part = deployment.max_surge_percent, deployment.rolling_update_percentage
    if percent is not None or part is not None:
        at_once = max(1, int((0.2 if part is None else part) * deployment.count))
        # Whole numbers: as floats 28 % of 25 would be more than 7.
        surge = at_once if percent is None else -(-percent * deployment.count // 100)
        missing = max(missing, 0 if surge else at_once)
    given = next((it for it in target.deployments if it.name == deployment.name), None)
    if given is None:
        return Budget(surge, missing)
    return Budget(
        surge if given.max_surge is None else given.max_surge,
        missing if given.max_unavailable is None else given.max_unavailable,
    )
