"""Replicas that are placed, and fail, together: `gang_scheduling_config` of a deployment. Names are Ray Serve's."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field, field_validator


class GangPlacementStrategy(StrEnum):
    """How the replicas of a gang lie to each other, as far as there is room."""

    PACK = "PACK"
    SPREAD = "SPREAD"


class GangRuntimeFailurePolicy(StrEnum):
    """What becomes of a gang one of whose replicas has failed."""

    RESTART_GANG = "RESTART_GANG"
    RESTART_REPLICA = "RESTART_REPLICA"


class GangSchedulingConfig(BaseModel):
    """Wrong values are a pydantic ValidationError, which is a ValueError."""

    gang_size: Annotated[int, Field(ge=1)]
    """Replicas of one gang; the deployment's number is a multiple of it."""
    gang_placement_strategy: GangPlacementStrategy = GangPlacementStrategy.PACK
    runtime_failure_policy: GangRuntimeFailurePolicy = GangRuntimeFailurePolicy.RESTART_GANG

    @field_validator("runtime_failure_policy")
    @classmethod
    def _is_there(cls, given: GangRuntimeFailurePolicy) -> GangRuntimeFailurePolicy:
        if given is GangRuntimeFailurePolicy.RESTART_REPLICA:
            # As in Ray Serve: not a ValueError, which pydantic would gather.
            raise NotImplementedError("RESTART_REPLICA is not there, nor in Ray Serve: say RESTART_GANG")
        return given
