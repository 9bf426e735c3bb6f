"""Application: a deployment with its constructor's arguments, and perhaps stages after it.

Pure. Applications are values made by `Deployment.bind` and by each other; each is one deployment of the running
application. `describe` reads them, nothing changes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from remora.errors import GraphError

if TYPE_CHECKING:
    from remora.graph.deployment import Deployment


@dataclass(frozen=True, eq=False, repr=False)
class Application:
    """What `serve.run` takes: the ingress deployment, bound, with everything that it refers to.

    Compared by identity: two bindings of one deployment are two deployments.
    """

    deployment: Deployment
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    following: tuple[Application, ...] = ()
    """Stages after this one, in order: each gets what the one before returned."""

    def then(self, stage: object) -> Application:
        """Return this application with a stage after its last one: what that returns is the stage's input.

        A stage is an Application, a Deployment (bound without arguments), or a plain class or function.
        """
        return replace(self, following=(*self.following, _as_stage(stage, self)))

    @property
    def name(self) -> str:
        """The deployment's name, before duplicates get a suffix."""
        return self.deployment.name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse, saying what to do."""
        raise GraphError(f"application {self.name!r} is bound and not running: serve.run(app) returns a handle to call")

    def __repr__(self) -> str:
        """Show the chain."""
        chain = " → ".join(stage.name for stage in (self, *self.following))
        return f"<Application {chain}>"


def _as_stage(stage: object, before: Application) -> Application:
    """Return the stage as an Application of its own."""
    from remora.graph.deployment import Deployment, deployment

    if isinstance(stage, Application):
        return stage
    if isinstance(stage, Deployment):
        return stage.bind()
    if callable(stage):
        return deployment(stage).bind()
    raise GraphError(
        f"deployment {before.name!r}: then() takes a bound deployment, a class or a function, "
        f"and was given {type(stage).__name__}"
    )
