"""An actor that all replicas of a deployment share: `deployment_actors` of a deployment. Names are Ray Serve's."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator


class DeploymentActorConfig(BaseModel):
    """Wrong values are a pydantic ValidationError, which is a ValueError."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    name: str
    """Unique in the deployment: `serve.get_deployment_actor(name)`."""
    actor_class: Any
    """A class that @ray.remote decorates, or its import path. Once given, the class stands here as its path, too."""
    init_args: tuple[Any, ...] = ()
    init_kwargs: dict[str, Any] = Field(default_factory=dict)
    actor_options: dict[str, Any] = Field(default_factory=dict)
    """What `.options(…)` of the class takes."""

    _class: Any = PrivateAttr(default=None)

    @field_validator("actor_class")
    @classmethod
    def _is_actor(cls, given: Any) -> Any:
        if isinstance(given, str) or hasattr(given, "__ray_actor_class__"):
            return given
        raise ValueError(f"must be a class that @ray.remote decorates, or its import path, and is {given!r}")

    def model_post_init(self, context: Any, /) -> None:
        """Keep the class beside its path."""
        if not isinstance(self.actor_class, str):
            self._class = self.actor_class
            plain = self._class.__ray_actor_class__
            self.actor_class = f"{plain.__module__}:{plain.__qualname__}"

    @property
    def given_class(self) -> Any:
        """The decorated class; None where only its import path is known."""
        return self._class
