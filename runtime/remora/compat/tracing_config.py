"""TracingConfig: what programs tell `serve.start` of spans. Names and defaults are Ray Serve's.

Remora passes trace headers on and writes their ids into logs; spans it does not make, so this changes nothing yet.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class TracingConfig(BaseModel):
    """Wrong values are a pydantic ValidationError, which is a ValueError."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool = False
    exporter_import_path: str = ""
    """Of the function that exports spans; empty is Ray Serve's, which writes files."""
    sampling_ratio: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Of all requests, how many have spans."""
