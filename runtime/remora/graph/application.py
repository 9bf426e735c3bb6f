"""Application: a deployment with its constructor's arguments, and perhaps stages after it.

Pure. Applications are values made by `Deployment.bind` and by each other; each is one deployment of the running
application. `describe` reads them, nothing changes them.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NoReturn

from remora.errors import GraphError
from remora.graph.chain import Chainable
from remora.graph.stage import Stage, label

if TYPE_CHECKING:
    from remora.graph.deployment import Deployment
    from remora.graph.node import CallNode


@dataclass(frozen=True, eq=False, repr=False)
class Application(Chainable):
    """What `serve.run` takes: the ingress deployment, bound, with everything that it refers to.

    Compared by identity: two bindings of one deployment are two deployments. Attributes of other names are the class's
    methods, to be bound in a graph: `model.predict.bind(inp)`.
    """

    deployment: Deployment
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    following: tuple[Stage, ...] = ()
    """Stages after this one, in order: each gets what the one before returned."""

    def _followed_by(self, stage: Stage) -> Application:
        return replace(self, following=(*self.following, stage))

    @property
    def name(self) -> str:
        """The deployment's name, before duplicates get a suffix."""
        return self.deployment.name

    @property
    def _label(self) -> str:
        return self.name

    @property
    def __call__(self) -> BoundMethod:
        """Return the method `__call__`, to be bound in a graph: `model.__call__.bind(inp)`."""
        return BoundMethod(self, "__call__")

    def __getattr__(self, name: str) -> BoundMethod:
        """Return a method of the deployment's class, to be bound in a graph; raise AttributeError when it has none."""
        if name.startswith("_") or name in self.__dataclass_fields__:
            raise AttributeError(name)
        target = self.deployment.func_or_class
        if inspect.isclass(target) and callable(getattr(target, name, None)):
            return BoundMethod(self, name)
        known = [one for one in dir(target) if not one.startswith("_")] if inspect.isclass(target) else []
        raise AttributeError(
            f"deployment {self.name!r} has no method {name!r}"
            + (f"; its methods are: {', '.join(known)}" if known else "")
        )

    def __repr__(self) -> str:
        """Show the chain."""
        chain = [self.name, *(label(stage) for stage in self.following)]
        return f"<Application {' → '.join(chain)}>"


@dataclass(frozen=True, slots=True)
class BoundMethod:
    """A method of a bound deployment: `bind` makes a call of it in a graph."""

    application: Application
    method: str

    def bind(self, *args: Any, **kwargs: Any) -> CallNode:
        """Return the call of the method with these arguments, among them nodes, as a node."""
        from remora.graph.foreign import adopted
        from remora.graph.node import call_of

        return call_of(self.application, self.method, adopted(args), adopted(kwargs))

    def remote(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse, saying what to do."""
        raise self._not_running()

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse, saying what to do."""
        raise self._not_running()

    def _not_running(self) -> GraphError:
        return GraphError(
            f"application {self.application.name!r} is bound and not running: serve.run(app) returns a handle to call"
        )
