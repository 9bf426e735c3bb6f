"""A replica's log as the user wants it: `logging_config` of the deployment, applied to the logger "ray.serve".

That is the logger that programs written for Ray Serve use. Without a configuration it is as every logger of the
process: lines of level INFO and above, on the replica's output.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from remora.handle import context

LOGGERS: Final = ("ray.serve", "remora.serve")
_TEXT: Final = "%(levelname)s %(asctime)s %(name)s: %(message)s"


def configure(config: Mapping[str, Any], *, application: str, deployment: str, replica: str) -> None:
    """Apply a `logging_config` (fields of `compat.logging_config.LoggingConfig`); OSError without its folder."""
    identity = {"application": application, "deployment": deployment, "replica": replica}
    is_json = config.get("encoding") == "JSON"
    formatter = (
        _Json(identity, config.get("additional_log_standard_attrs") or ()) if is_json else logging.Formatter(_TEXT)
    )
    folder = config.get("logs_dir")
    handlers: list[logging.Handler] = []
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        name = f"replica_{application}_{deployment}_{replica}.log".replace("/", "-")
        handlers.append(logging.FileHandler(Path(folder) / name, encoding="utf-8"))
    if is_json:
        handlers.append(logging.StreamHandler(sys.stderr))
    for handler in handlers:
        handler.setFormatter(formatter)
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(config.get("log_level") or logging.INFO)
        logger.handlers = list(handlers)
        # In JSON the line on the replica's output is ours, and would be there twice.
        logger.propagate = not is_json


class _Json(logging.Formatter):
    """One JSON object a line, with Ray Serve's names for what it says of the replica and the request."""

    def __init__(self, identity: Mapping[str, str], attributes: object) -> None:
        super().__init__()
        self._identity = identity
        self._attributes = tuple(attributes) if isinstance(attributes, list | tuple) else ()

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        request = context.current()
        line: dict[str, object] = {
            "asctime": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "levelname": record.levelname,
            "message": record.getMessage(),
            "filename": record.filename,
            "lineno": record.lineno,
            **self._identity,
        }
        if request.request_id:
            line |= {"request_id": request.request_id, "route": request.route}
        line |= {name: getattr(record, name, None) for name in self._attributes}
        if record.exc_info:
            line["exc_text"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)
