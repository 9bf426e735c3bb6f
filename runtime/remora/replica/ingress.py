"""ASGI applications as ingress: `@serve.ingress(app)`, and FastAPI routes that are methods of the deployment.

A FastAPI route defined as a method has a `self`, which only the replica has: it becomes a dependency that is resolved
there, for every request.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from remora.errors import OptionError
from remora.replica import context
from remora.types import ASGIApp

_ATTRIBUTE: Final = "__remora_ingress__"
_LATE: Final = "__serve_build_asgi_app__"
_OWNER: Final = "__remora_class__"
"""Of a route's function, and of the class that it is a method of: which one. A pickled class may lose its own name."""
_DOCS: Final = ("openapi", "swagger_ui_html", "swagger_ui_redirect", "redoc_html")
"""Names of the routes that FastAPI makes itself; they show the routes of the application that made them."""

Decorated = TypeVar("Decorated", bound=type)


def ingress(app: Any = None) -> Callable[..., Any]:
    """Let a deployment's HTTP requests be answered by an ASGI application, or by the one that a function returns.

    Without `app` the class's `__serve_build_asgi_app__` returns it, after the constructor.
    """

    def decorate(cls: Decorated | None = None) -> Decorated | type:
        target: type = type("ASGIIngressDeployment", (_Bare,), {}) if cls is None else cls
        if not inspect.isclass(target):
            raise OptionError(f"@serve.ingress takes a class, not {type(target).__name__}")
        if "__call__" in dir(target):
            raise OptionError(f"class {target.__name__} has @serve.ingress and __call__: the ASGI app answers instead")
        if app is None and not hasattr(target, _LATE):
            raise OptionError(f"serve.ingress() without an app needs {target.__name__}.{_LATE}")
        if _is_fastapi(app):
            _bind_methods(app, target)
        setattr(target, _ATTRIBUTE, (app,))
        return target

    return decorate


def app_of(instance: Any) -> ASGIApp | None:
    """Return the ASGI application that answers for the instance, made now if it has to be; None if there is none."""
    marked = getattr(type(instance), _ATTRIBUTE, None)
    if marked is None:
        return None
    (app,) = marked
    if app is None:
        app = getattr(instance, _LATE)()
    elif inspect.isfunction(app) and not inspect.iscoroutinefunction(app):
        app = app()
    found: ASGIApp = _without_others(app, type(instance)) if _is_fastapi(app) else app
    return found


class _Bare:
    """The deployment that `serve.ingress(app)()` makes: it has its bind arguments and nothing else."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args = args
        self.kwargs = kwargs


async def _current_instance() -> Any:
    """Return the `self` of a route that is a method."""
    return context.get_replica_context().servable_object


def _is_fastapi(app: Any) -> bool:
    """Return whether it is a FastAPI application or router, without importing FastAPI for others."""
    return any(kind.__module__.partition(".")[0] == "fastapi" for kind in type(app).__mro__)


def _bind_methods(app: Any, cls: type) -> None:
    """Let the app's routes that are methods of the class get the replica's instance as their first argument."""
    from fastapi import APIRouter

    router = APIRouter()
    bases = [base for base in cls.__mro__ if base is not object]
    for route, parent, prefix in list(_routes(app)):
        owner = next((it for it in bases if route.endpoint.__qualname__.startswith(f"{it.__qualname__}.")), None)
        if owner is None:
            continue
        key = f"{owner.__module__}.{owner.__qualname__}"
        setattr(route.endpoint, _OWNER, key)
        setattr(owner, _OWNER, key)
        parent.routes.remove(route)
        if prefix:
            _move(route, prefix + route.path)
        route.endpoint.__signature__ = _with_instance(route.endpoint)
        router.routes.append(route)
    # Including a route analyses its dependencies anew, with the signature that it has now.
    app.include_router(router)


def _without_others(app: Any, cls: type) -> Any:
    """Return the application without routes that are methods of other classes: several may share one."""
    own = {None, *(vars(base).get(_OWNER) for base in cls.__mro__)}
    if not any(_is_of_others(route, own) for route in app.router.routes):
        return app
    made = copy.copy(app)
    made.router = copy.copy(app.router)
    if app.router.middleware_stack == app.router.app:
        made.router.middleware_stack = made.router.app
    kept = [route for route in app.router.routes if not _is_of_others(route, own)]
    made.router.routes = [route for route in kept if getattr(route, "name", "") not in _DOCS]
    if hasattr(made, "setup"):
        made.openapi_schema = None
        made.setup()
    return made


def _is_of_others(route: Any, own: set[str | None]) -> bool:
    if hasattr(route, "original_router"):
        inside = route.original_router.routes
        return bool(inside) and all(_is_of_others(it, own) for it in inside)
    return getattr(getattr(route, "endpoint", None), _OWNER, None) not in own


def _routes(router: Any, prefix: str = "") -> Iterator[tuple[Any, Any, str]]:
    """Yield each API route with the router that holds it; FastAPI from 0.137 on keeps included routers nested."""
    from fastapi.routing import APIRoute, APIWebSocketRoute

    for route in router.routes:
        if isinstance(route, APIRoute | APIWebSocketRoute):
            yield route, router, prefix
        elif hasattr(route, "original_router"):
            yield from _routes(route.original_router, prefix + route.include_context.prefix)


def _move(route: Any, path: str) -> None:
    from starlette.routing import compile_path

    route.path = path
    route.path_regex, route.path_format, route.param_convertors = compile_path(path)


def _with_instance(endpoint: Callable[..., Any]) -> inspect.Signature:
    from fastapi import Depends

    signature = inspect.signature(endpoint)
    parameters = list(signature.parameters.values())
    if not parameters:
        raise OptionError(f"route {endpoint.__qualname__} is a method and needs `self` as its first parameter")
    instance = parameters[0].replace(default=Depends(_current_instance))
    rest = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters[1:]]
    return signature.replace(parameters=[instance, *rest])
