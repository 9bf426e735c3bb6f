"""How a request is refused when a deployment's queue is full: `backpressure_config`. Names are Ray Serve's."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class BackpressureConfig(BaseModel):
    """Wrong values are a pydantic ValidationError, which is a ValueError."""

    model_config = ConfigDict(extra="forbid")

    status_code: Literal[503, 429] = 503
    retry_after_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """Seconds of the Retry-After header; None sends none."""
