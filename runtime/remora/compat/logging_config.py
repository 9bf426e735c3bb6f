"""How replicas log: `logging_config` of a deployment or of serve.run. Names and defaults are Ray Serve's."""

from __future__ import annotations

import logging
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, field_validator


class EncodingType(StrEnum):
    """How a line of the log looks."""

    TEXT = "TEXT"
    JSON = "JSON"


class LoggingConfig(BaseModel):
    """Wrong values are a pydantic ValidationError, which is a ValueError."""

    model_config = ConfigDict(extra="forbid")

    encoding: EncodingType = EncodingType.TEXT
    log_level: str = "INFO"
    """A name of the logging module's; its numbers are taken, too."""
    logs_dir: str | None = None
    """Folder for files of the log; None is where the replica's output goes."""
    enable_access_log: bool = True
    additional_log_standard_attrs: list[str] = Field(default_factory=list)
    """Attributes of logging.LogRecord that go into each line as well."""

    @field_validator("log_level", mode="before")
    @classmethod
    def _known(cls, given: object) -> object:
        names = logging.getLevelNamesMapping()
        if isinstance(given, int) and logging.getLevelName(given) in names:
            return logging.getLevelName(given)
        if given in names:
            return given
        raise ValueError(f"log_level is {given!r}, and must be one of {', '.join(names)}")
