"""Describes an application: which deployments it comes to, what they are called, and who calls whom.

Pure: an Application in, a GraphDescription out. `build` runs it where the user's code was imported; the controller
sees only what it says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from remora.errors import GraphError
from remora.graph.application import Application
from remora.graph.options import DeploymentOptions
from remora.graph.walk import find


@dataclass(frozen=True, slots=True)
class DeploymentSpec:
    """One deployment of the graph."""

    name: str
    """Unique: of several bindings with one name the later ones are called `name_1`, `name_2`, …"""
    options: DeploymentOptions
    ingress: bool
    dependencies: tuple[str, ...]
    """Deployments that it gets handles to, as constructor arguments."""
    then: tuple[str, ...]
    """Deployments that its stages need, in the order in which they are written down."""
    application: Application


@dataclass(frozen=True, slots=True)
class GraphDescription:
    """All deployments of one application, those before which others depend on them."""

    ingress: str
    deployments: tuple[DeploymentSpec, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was asked for and has no effect yet, a sentence each."""
        return tuple(warning for spec in self.deployments for warning in spec.options.warnings)

    def name_of(self, application: Application) -> str:
        """Return the name that this binding got, or raise GraphError."""
        for spec in self.deployments:
            if spec.application is application:
                return spec.name
        raise HiddenBinding(application)


class HiddenBinding(GraphError):
    """A bound deployment stands inside an object in which it is not looked for: pickling came upon it."""

    def __init__(self, application: Application) -> None:
        super().__init__(f"bound deployment {application.name!r} stands inside an object, and cannot be found there")
        self.application = application


Hidden = Mapping[int, Sequence[Application]]
"""Bindings that stand inside of objects among a binding's arguments, by the `id` of that binding."""


def describe(application: Application, hidden: Hidden = MappingProxyType({})) -> GraphDescription:
    """Return the graph of the application; raise GraphError when it has a cycle."""
    names: dict[int, str] = {}
    order: list[Application] = []
    _visit(application, hidden, names, order, path=())
    return GraphDescription(
        ingress=names[id(application)],
        deployments=tuple(
            DeploymentSpec(
                name=names[id(bound)],
                options=replace(bound.deployment.settings, name=names[id(bound)]),
                ingress=bound is application,
                dependencies=tuple(names[id(other)] for other in _arguments(bound, hidden)),
                then=tuple(names[id(stage)] for stage in _stages(bound)),
                application=bound,
            )
            for bound in order
        ),
    )


def _visit(
    bound: Application,
    hidden: Hidden,
    names: dict[int, str],
    order: list[Application],
    path: tuple[Application, ...],
) -> None:
    """Name what the binding depends on, then itself, then its stages: of two bindings the inner one keeps the name."""
    if any(bound is earlier for earlier in path):
        raise GraphError(_cycle(bound, path))
    if id(bound) in names:
        return
    for argument in _arguments(bound, hidden):
        _visit(argument, hidden, names, order, (*path, bound))
    names[id(bound)] = _unique(bound.name, set(names.values()))
    order.append(bound)
    for stage in _stages(bound):
        _visit(stage, hidden, names, order, (*path, bound))


def _arguments(bound: Application, hidden: Hidden) -> Iterator[Application]:
    yield from find(Application, (bound.args, bound.kwargs))
    yield from hidden.get(id(bound), ())


def _stages(bound: Application) -> Iterator[Application]:
    return find(Application, bound.following)


def _cycle(bound: Application, path: tuple[Application, ...]) -> str:
    start = next(index for index, earlier in enumerate(path) if earlier is bound)
    through = [between.name for between in path[start + 1 :]]
    by = f" through {' and '.join(repr(name) for name in through)}" if through else ""
    return f"deployment {bound.name!r} binds itself{by}; break the cycle"


def _unique(name: str, taken: set[str]) -> str:
    """Return the name, or the name with the first free suffix."""
    if name not in taken:
        return name
    count = 1
    while f"{name}_{count}" in taken:
        count += 1
    return f"{name}_{count}"
