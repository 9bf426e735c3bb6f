"""What mypy cannot see of a decorated class: after `@serve.deployment class Greeter`, `Greeter` is a deployment.

mypy takes over what a decorator makes of a function, and ignores what it makes of a class. With this plugin a class so
decorated has what tests and examples use of a deployment, so that nobody has to loosen the check of attributes for it.
"""

from __future__ import annotations

from collections.abc import Callable

from mypy.nodes import ARG_STAR, ARG_STAR2
from mypy.plugin import ClassDefContext, Plugin
from mypy.plugins.common import add_attribute_to_class
from mypy.types import AnyType, CallableType, TypeOfAny

DECORATOR = "remora.graph.deployment.deployment"
MAKERS = {"bind": "remora.graph.application.Application", "options": "remora.graph.deployment.Deployment"}
"""Methods of a deployment, and what they return."""


class Deployments(Plugin):
    """Gives classes under the decorator what deployments have."""

    def get_class_decorator_hook_2(self, fullname: str) -> Callable[[ClassDefContext], bool] | None:
        """Return what to do with a class under this decorator."""
        return _as_deployment if fullname == DECORATOR else None


def plugin(version: str) -> type[Plugin]:
    """Return the plugin. mypy calls this."""
    return Deployments


def _as_deployment(context: ClassDefContext) -> bool:
    """Add a deployment's methods and its plain class to this class; True: mypy need not ask again."""
    anything = AnyType(TypeOfAny.explicit)
    function = context.api.named_type("builtins.function")
    for name, returned in MAKERS.items():
        made = context.api.named_type(returned)
        kinds, names = [ARG_STAR, ARG_STAR2], ["args", "kwargs"]
        method = CallableType([anything, anything], kinds, names, made, function)
        add_attribute_to_class(context.api, context.cls, name, method, is_classvar=True)
    add_attribute_to_class(context.api, context.cls, "func_or_class", anything, is_classvar=True)
    return True
