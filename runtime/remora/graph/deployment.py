"""Deployment: a class or function with options, and the decorator that makes one.

Pure. First step of a deploy: `deployment → application → describe → definition`.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

from remora.errors import MisuseError, OptionError
from remora.graph import options as deployment_options
from remora.graph.application import Application
from remora.graph.foreign import adopted
from remora.graph.node import GraphNode, call_of, check_arguments
from remora.graph.options import DeploymentOptions
from remora.graph.walk import find

if TYPE_CHECKING:
    from remora.compat.backpressure import BackpressureConfig


class NoEffectYetWarning(UserWarning):
    """An option of Ray Serve was given that Remora accepts and does not act upon yet."""


@dataclass(frozen=True, eq=False, repr=False)
class Deployment:
    """A class or function to be served, with its options. Made by @serve.deployment; `bind` makes it runnable."""

    func_or_class: Callable[..., Any]
    settings: DeploymentOptions

    def bind(self, *args: Any, **kwargs: Any) -> Application:
        """Return an application: this deployment, constructed with these arguments on every replica.

        Applications among the arguments, in lists and dicts too, arrive as handles; a node of a graph arrives as
        something whose `remote(input)` runs the graph. A function with nodes among its arguments is a node itself.
        """
        args, kwargs = adopted(args), adopted(kwargs)
        if inspect.isclass(self.func_or_class):
            check_arguments(self.name, args, kwargs)
        elif next(find(GraphNode, (args, kwargs)), None) is not None:
            # A node has `then`, `when` and the like too, and is what the caller asked for.
            return call_of(self.alone, "__call__", args, kwargs)  # type: ignore[return-value]
        elif args or kwargs:
            raise OptionError(f"deployment {self.name!r} is a function and takes no bind arguments: use a class")
        return Application(self, args, kwargs)

    @property
    def alone(self) -> Application:
        """This deployment, bound without arguments. Of a function there is one: wherever it is used, it is the same."""
        return self.bind() if inspect.isclass(self.func_or_class) else self._function

    @cached_property
    def _function(self) -> Application:
        return Application(self)

    def options(self, func_or_class: Callable[..., Any] | None = None, **given: Any) -> Deployment:
        """Return a copy with some options given anew."""
        target = self.func_or_class if func_or_class is None else _checked(func_or_class)
        return _with_warnings(Deployment(target, deployment_options.changed(self.settings, given)), given)

    @property
    def name(self) -> str:
        """Unique name within an application; duplicates get a suffix when the graph is described."""
        return self.settings.name

    @property
    def num_replicas(self) -> int | str:
        """Replicas to start."""
        return self.settings.num_replicas

    @property
    def user_config(self) -> Any:
        """What `reconfigure` gets."""
        return self.settings.user_config

    @property
    def max_ongoing_requests(self) -> int:
        """Requests that one replica works on at a time."""
        return self.settings.max_ongoing_requests

    @property
    def max_queued_requests(self) -> int:
        """Requests that each router may hold while all replicas are full; -1 is no limit."""
        return self.settings.max_queued_requests

    @property
    def ray_actor_options(self) -> dict[str, Any]:
        """What one replica needs of its node, by Ray's names."""
        return self.settings.ray_actor_options.given

    @property
    def backpressure_config(self) -> BackpressureConfig:
        """How requests are refused when the queue is full."""
        from remora.compat.backpressure import BackpressureConfig

        return BackpressureConfig.model_validate(self.settings.backpressure_config or {})

    @property
    def logging_config(self) -> Mapping[str, Any] | None:
        """How replicas log; None where nothing is given."""
        return self.settings.logging_config

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse, saying what to do: a deployment's class is constructed on replicas only."""
        raise MisuseError(
            f"deployment {self.name!r} cannot be called or constructed directly: "
            f"use .bind(…) and serve.run, or .func_or_class for the plain {_kind(self.func_or_class)}"
        )

    def __repr__(self) -> str:
        """Show the name."""
        return f"<Deployment {self.name}>"


@overload
def deployment(func_or_class: Callable[..., Any], /) -> Deployment: ...


@overload
def deployment(func_or_class: None = None, /, **given: Any) -> Callable[[Callable[..., Any]], Deployment]: ...


def deployment(
    func_or_class: Callable[..., Any] | str | None = None, /, **given: Any
) -> Deployment | Callable[[Callable[..., Any]], Deployment]:
    """Make a deployment of a class or function: `@serve.deployment` or `@serve.deployment(num_replicas=2, …)`."""

    def decorate(decorated: Callable[..., Any]) -> Deployment:
        target = _checked(decorated)
        default_name = getattr(target, "__name__", type(target).__name__)
        return _with_warnings(Deployment(target, deployment_options.of(default_name, given)), given)

    if isinstance(func_or_class, str):
        # As in Ray Serve, where it is no error, and is not the name.
        warnings.warn(
            f"@serve.deployment({func_or_class!r}): this names nothing; write name={func_or_class!r}", stacklevel=2
        )
        return decorate
    return decorate if func_or_class is None else decorate(func_or_class)


def _checked(func_or_class: object) -> Callable[..., Any]:
    """Return what can be deployed, or raise OptionError."""
    if isinstance(func_or_class, Deployment):
        raise OptionError(f"deployment {func_or_class.name!r} is decorated twice: use .options(…) to change it")
    if isinstance(func_or_class, Application) or not callable(func_or_class):
        raise OptionError(f"@serve.deployment takes a class or a function, not {type(func_or_class).__name__}")
    return func_or_class


def _with_warnings(made: Deployment, given: dict[str, Any]) -> Deployment:
    """Say which of the options just given do nothing yet, at the user's line."""
    for option, sentence in zip(made.settings.without_effect, made.settings.warnings, strict=True):
        if option.split("[")[0] in given:
            warnings.warn(sentence, NoEffectYetWarning, stacklevel=3)
    return made


def _kind(func_or_class: object) -> str:
    return "class" if inspect.isclass(func_or_class) else "function"
