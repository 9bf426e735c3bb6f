"""What `remora run` serves, once it is read: by `manifest`, or here where an import path is all that was given.

Light to import: the models of the resource take a quarter of a second, and the time until the first answer with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from remora.errors import RemoraError
from remora.local.tls import LocalTls
from remora_api import wire
from remora_api.digests import digest

if TYPE_CHECKING:
    from remora.tracing.settings import TracingSettings
    from remora_api.v1alpha1 import Grpc

_PLAIN: Final = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_]*\.)*[A-Za-z_][A-Za-z0-9_]*:[A-Za-z_][A-Za-z0-9_]*")
_LONGEST: Final = 256


class CannotRead(RemoraError):
    """What was given is no application; the message says where and why."""


@dataclass(frozen=True, slots=True)
class LocalApplication:
    """One application to serve."""

    target: wire.Target
    route_prefix: str | None
    request_timeout_s: float | None = None
    grpc: Grpc | None = None
    runtime_env: Mapping[str, Any] = field(default_factory=dict)
    """For Ray to set up around the code, without `env_vars`."""
    logging_config: Mapping[str, Any] | None = None
    """For deployments that have none of their own."""


@dataclass(frozen=True, slots=True)
class Subject:
    """All that `remora run` was given."""

    applications: tuple[LocalApplication, ...]
    warnings: tuple[str, ...] = ()
    """A sentence for each thing in it that has no effect here."""
    host: str | None = None
    port: int | None = None
    root_path: str = ""
    keep_alive_s: int | None = None
    grpc_reflection: bool = True
    tls: LocalTls | None = None
    tracing: TracingSettings | None = None


def plain(import_path: str) -> Subject | None:
    """Return what `manifest.read` makes of an import path alone; None where the models have to judge it."""
    if not _PLAIN.fullmatch(import_path) or len(import_path) > _LONGEST:
        return None
    from remora.serve_config.names import object_name

    name = object_name(import_path.partition(":")[0].rpartition(".")[2])
    inputs: dict[str, Any] = {"importPath": import_path, "args": {}, "code": ""}
    revision = f"{name}-{digest(inputs)[:10]}"
    target = wire.Target(application=name, generation=0, revision=revision, import_path=import_path)
    return Subject((LocalApplication(target, "/"),))
