"""TracingConfig: what programs tell `serve.start` of spans. Names and defaults are Ray Serve's."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from remora.tracing.settings import OFF, TracingSettings, of_config


class TracingConfig(BaseModel):
    """Wrong values are a pydantic ValidationError, which is a ValueError."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool = Field(default_factory=lambda: TracingSettings.of_ray_serve().is_on)
    """By default whether RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH is set."""
    exporter_import_path: str = Field(default_factory=lambda: TracingSettings.of_ray_serve().exporter.removeprefix(OFF))
    """Of the function that returns span processors; empty are files in Ray's session folder."""
    sampling_ratio: Annotated[float, Field(ge=0, le=1)] = Field(
        default_factory=lambda: TracingSettings.of_ray_serve().sampling_ratio
    )
    """Of all requests whose client did not decide it, how many have spans."""

    @property
    def settings(self) -> TracingSettings:
        """The same for the processes that are to make spans."""
        return of_config(
            enabled=self.enabled, exporter_import_path=self.exporter_import_path, sampling_ratio=self.sampling_ratio
        )
