"""Where spans go: the user's function, a collector by OTLP, or files. Each as OpenTelemetry's span processors."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from remora.errors import RemoraError
from remora.tracing.settings import FILES, RAY_SERVES_FILES, TracingSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

SESSION: Final = Path("/tmp/ray/session_latest")
SPANS: Final = Path("logs/serve/spans")
"""Within Ray's session, as in Ray Serve."""
NO_OTEL: Final = (
    "tracing needs OpenTelemetry, which is not installed in this Python environment: pip install 'remora[tracing]' "
    "(opentelemetry-api and opentelemetry-sdk)"
)


class TracingFailed(RemoraError, ImportError, TypeError):
    """Tracing cannot begin: OpenTelemetry is missing, or the exporter is not what it has to be."""


def check_installed() -> None:
    """Raise TracingFailed where OpenTelemetry's SDK is missing."""
    try:
        importlib.import_module("opentelemetry.sdk.trace")
    except ImportError as error:
        raise TracingFailed(NO_OTEL) from error


def processors(settings: TracingSettings, process: str) -> Sequence[SpanProcessor]:
    """Return what spans are given to; ``process`` names the file. Raises TracingFailed."""
    if settings.exporter in (FILES, RAY_SERVES_FILES):
        return [_files(f"{process}_tracing.json")]
    if settings.exporter:
        return _of_user(settings.exporter)
    return [_collector(settings.endpoint)]


def _files(name: str) -> SpanProcessor:
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

    class FileSpanExporter(ConsoleSpanExporter):  # type: ignore[misc]  # OpenTelemetry may not be there
        """Opens its file with the first span: Ray may just be starting, and its session's folder with it."""

        def __init__(self) -> None:
            self._file: TextIO | None = None

        def export(self, spans: Any) -> Any:
            if self._file is None:
                self._file = (_folder() / name).open("a")
                super().__init__(out=self._file)
            return super().export(spans)

        def shutdown(self) -> None:
            if self._file is not None:
                self._file.close()
                self._file = None

    return SimpleSpanProcessor(FileSpanExporter())


def _folder() -> Path:
    # What is made here in the place of Ray's own link would be in the way of Ray's next start.
    folder = SESSION.resolve() / SPANS if SESSION.exists() else Path("/tmp/remora-spans")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _of_user(import_path: str) -> Sequence[SpanProcessor]:
    from opentelemetry.sdk.trace import SpanProcessor

    function = _imported(import_path)
    if not inspect.isfunction(function):
        raise TracingFailed(f"tracing exporter {import_path!r} is {type(function).__name__}, and must be a function")
    if inspect.signature(function).parameters:
        raise TracingFailed(f"tracing exporter {import_path!r} takes arguments, and must take none")
    try:
        made = function()
    except Exception as error:
        raise TracingFailed(f"tracing exporter {import_path!r} raised {type(error).__name__}: {error}") from error
    if not isinstance(made, list):
        raise TracingFailed(
            f"tracing exporter {import_path!r} returned {type(made).__name__}, and must return a list of processors"
        )
    for each in made:
        if not isinstance(each, SpanProcessor):
            raise TracingFailed(
                f"tracing exporter {import_path!r} returned a list with {type(each).__name__} in it, which is no "
                "span processor: wrap an exporter in BatchSpanProcessor(…)"
            )
    return made


def _imported(import_path: str) -> Callable[[], Any]:
    # Ray Serve takes both module:function and module.function.
    module, separator, name = import_path.partition(":")
    if not separator:
        module, _, name = import_path.rpartition(".")
    try:
        found: Callable[[], Any] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise TracingFailed(
            f"tracing exporter {import_path!r} cannot be imported: {error}; it is module:function, from where "
            "the code is started"
        ) from error
    return found


def _collector(endpoint: str) -> SpanProcessor:
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    try:
        otlp = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ImportError as error:
        raise TracingFailed(
            "tracing to an OTLP endpoint needs a package that is not installed: "
            "pip install opentelemetry-exporter-otlp-proto-http"
        ) from error
    return BatchSpanProcessor(otlp.OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces"))
