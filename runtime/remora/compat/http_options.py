"""What programs tell `serve.start`: where to listen, for how long a request may take. Defaults are Ray Serve's."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator


class ProxyLocation(StrEnum):
    """On which nodes Ray Serve has proxies. Remora's are pods of their own, so this chooses nothing."""

    Disabled = "Disabled"
    HeadOnly = "HeadOnly"
    EveryNode = "EveryNode"


class HTTPFields(BaseModel):
    """What programs and config files alike say of HTTP."""

    host: str | None = "127.0.0.1"
    port: int = 8000
    root_path: str = ""
    request_timeout_s: float | None = None
    """Seconds; None is no limit."""
    keep_alive_timeout_s: int = 90
    ssl_keyfile: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile_password: str | None = None
    ssl_ca_certs: str | None = None

    def check_tls(self) -> None:
        """Raise ValueError for a certificate without its key, or the other way round."""
        if bool(self.ssl_certfile) != bool(self.ssl_keyfile):
            raise ValueError("ssl_certfile and ssl_keyfile belong together: give both, or none")


class HTTPOptions(HTTPFields):
    """How HTTP requests come in. Wrong types are a pydantic ValidationError, which is a ValueError."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    middlewares: list[Any] = Field(default_factory=list)
    location: ProxyLocation | None = None
    num_cpus: int = 0

    @field_validator("middlewares", "num_cpus")
    @classmethod
    def _was_removed(cls, given: object, about: ValidationInfo) -> object:
        if given:
            instead = {
                "middlewares": "give them to the application of @serve.ingress, FastAPI(middleware=[…]) say",
                "num_cpus": "the proxy is a process of its own, and takes none of Ray's CPUs",
            }
            raise ValueError(
                f"{about.field_name} was removed in Ray Serve, and has no effect: {instead[about.field_name or '']}"
            )
        return given

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        self.check_tls()
        return self


class gRPCOptions(BaseModel):
    """How gRPC requests come in."""

    port: int = 9000
    grpc_servicer_functions: list[str] = Field(default_factory=list)
    """Import paths of the functions that add the users' services to a server."""
    request_timeout_s: float | None = None
    """Seconds; None is no limit."""
    enable_reflection: bool = True


class ControllerOptions(BaseModel):
    """Settings of Ray Serve's controller; Remora's runs in a pod that the resource describes."""

    model_config = ConfigDict(extra="forbid")

    runtime_env: dict[str, Any] | None = None
