"""RequestRouterConfig: which request router a deployment has, and how it is made. Pure."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Final

from remora.errors import OptionError

METHOD: Final = "__remora_request_router__"
"""Of every replica: returns the RequestRouterConfig of its deployment."""
DEFAULT: Final = ""
"""Remora's own: the less loaded of two, with affinity to models and sessions."""


@dataclass(frozen=True, slots=True, init=False)
class RequestRouterConfig:
    """What `@serve.deployment(request_router_config=…)` takes. Raises OptionError, which is a ValueError.

    A field that is not known has no effect, as in Ray Serve; here it is warned of.
    """

    request_router_class: str | Callable[..., Any] = DEFAULT
    """A RequestRouter, or the import path of one; empty is Remora's own."""
    request_router_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """For its `initialize_state`."""
    request_routing_stats_period_s: float = 10.0
    request_routing_stats_timeout_s: float = 30.0
    initial_backoff_s: float = 0.025
    """How long a request waits that found no replica with room, before it asks the router again."""
    backoff_multiplier: float = 2.0
    max_backoff_s: float = 0.5

    def __init__(self, **given: Any) -> None:
        """Take fields by name."""
        for each in fields(self):
            default = each.default_factory() if each.default_factory is not MISSING else each.default
            object.__setattr__(self, each.name, given.pop(each.name, default))
        if given:
            known = ", ".join(each.name for each in fields(self))
            warnings.warn(
                f"request_router_config: unknown and without effect: {', '.join(given)}; known are {known}",
                stacklevel=2,
            )
        self._check()

    def _check(self) -> None:
        router = self.request_router_class
        if not isinstance(router, str) and not (inspect.isclass(router) and hasattr(router, "choose_replicas")):
            raise OptionError(
                f"request_router_class is {router!r}, and must be a RequestRouter or the import path of one"
            )
        if not isinstance(self.request_router_kwargs, Mapping):
            raise OptionError(f"request_router_kwargs is {self.request_router_kwargs!r}, and must be a dict")
        for each in fields(self)[2:]:
            value = getattr(self, each.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise OptionError(f"{each.name} is {value!r}, and must be a number above 0")

    @property
    def is_default(self) -> bool:
        """Whether no router of the user's own is named."""
        return self.request_router_class == DEFAULT


def checked(value: Any, where: str) -> RequestRouterConfig | None:
    """Return the config of a deployment, None for the default; raise OptionError."""
    if value is None:
        return None
    if isinstance(value, RequestRouterConfig):
        return value
    if not isinstance(value, Mapping):
        raise OptionError(f"{where} is {value!r}, and must be a RequestRouterConfig or a dict of its fields")
    return RequestRouterConfig(**{str(name): each for name, each in value.items()})
