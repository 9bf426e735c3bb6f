"""What fields of a Serve config have to be, for the models of this package and for those that programs import.

Pure. Each check returns its value, or raises ValueError with what is wanted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import Field

Amount = Annotated[float, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
AboveZero = Annotated[float, Field(gt=0)]
PerNode = Annotated[int, Field(ge=1, le=100)]
Percent = Annotated[int, Field(ge=0, le=100)]
Part = Annotated[float, Field(gt=0, le=1)]

_PROTOCOLS: Final = ("gcs", "conda", "pip", "uv", "http", "https", "s3", "gs", "azure", "abfss", "file", "local")


def import_path(path: str) -> tuple[str, str]:
    """Return module and attribute; Ray Serve takes `module.attribute` as well."""
    module, colon, attribute = path.partition(":") if ":" in path else path.rpartition(".")
    if not (module and colon and attribute) or ":" in attribute:
        raise ValueError("must be module:attribute, for instance hello:app for the variable app in hello.py")
    return module, attribute


def twice(values: Sequence[Any]) -> Any:
    """Return the first value that is there twice; None if none is."""
    return next((value for value in values if values.count(value) > 1), None)


def fixed_and_scaled(num_replicas: object, autoscaling: object) -> None:
    """Refuse a fixed number of replicas beside autoscaling."""
    if isinstance(num_replicas, int) and autoscaling:
        raise ValueError('num_replicas cannot be set beside autoscaling_config: leave it out, or make it "auto"')


def fetched(runtime_env: Mapping[str, Any]) -> None:
    """Refuse code that lies on one machine only: a cluster fetches it."""
    for uri in (*(runtime_env.get("py_modules") or ()), runtime_env.get("working_dir")):
        if uri is None:
            continue
        protocol, separator, rest = str(uri).partition("://")
        is_there = protocol != "local" or rest.startswith("/")
        if not separator or protocol not in _PROTOCOLS or not is_there:
            raise ValueError(
                f"{uri!r} must be a URI that every node can fetch, as https://… or s3://…, or local:///… with an "
                "absolute path that every node has"
            )
