"""Facts: all that the conditions of an application are made from. Pure data, gathered by `status`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from remora_api import wire
from remora_operator.workers import GroupCount


@dataclass(frozen=True, slots=True)
class Facts:
    """What the conditions are made from."""

    name: str
    generation: int
    revision: str
    suspended: bool = False
    frozen: bool = False
    """Reconciling is paused by annotation: what is found is said, and nothing is done about it."""
    asleep: bool = False
    code_problem: str = ""
    head_ready: bool = False
    head_trouble: str = ""
    head_missing: str = ""
    """Where to look while there is no head pod."""
    controller_reachable: bool = False
    controller_error: str = ""
    application: wire.ApplicationStatus | None = None
    """What the controller of the newest Ray cluster says."""
    serving: wire.ApplicationStatus | None = None
    """What the controller of the Ray cluster that serves says, or said last."""
    is_moving: bool = False
    """Requests still go to an older Ray cluster."""
    workers: tuple[GroupCount, ...] = ()
    worker_trouble: str = ""
    unplaced: tuple[str, ...] = ()
    unsuited: Mapping[str, str] = field(default_factory=dict)
    """Deployments that ask for labels of Ray's nodes which no worker group has: for which."""
    proxies_ready: int = 0
    proxies_desired: int = 0
    proxy_trouble: str = ""
    last_progress: datetime | None = None
    """When a pod last became ready."""
    was_ready: bool = False
    """The spec of this generation was Ready already."""
    began: datetime | None = None
    """When the rollout of this revision began."""
    pin_problem: str = ""
    rolled_back: str = ""
    """What became of the revision of the spec, if another runs because of it."""
    held: str = ""
    """The rollout is paused: what runs."""
    promoting: str = ""
    """The new revision is up, and what it waits for to get all requests."""
    is_paused: bool = False

    @property
    def is_behind(self) -> bool:
        """The controller speaks of an older spec, or not at all."""
        status = self.application
        return status is None or status.generation != self.generation or status.revision != self.revision

    @property
    def head_state(self) -> str:
        """How the head and its controller are, in a sentence."""
        if self.head_trouble:
            return self.head_trouble
        if not self.head_ready:
            return "the head pod is not ready"
        if not self.controller_reachable:
            return f"the controller does not answer: {self.controller_error or 'not connected yet'}"
        return "the Ray head and the controller answer"
