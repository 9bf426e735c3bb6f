"""What stands below a model's fields: their docstrings, which describe them in the CRD.

Read from the source when the CRD is written, as pydantic's own way (`use_attribute_docstrings`) reads the source of
every class in every process that imports it: a third of what importing the models takes.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Any


def of_fields(model: type[Any]) -> Mapping[str, str]:
    """Return the docstrings below the attributes of a class, and of those that it inherits from, by name."""
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if each.__module__ in sys.modules and each is not object:
            found.update(_by_class(each.__module__).get(each.__qualname__.rpartition("<locals>.")[2], {}))
    return found


@cache
def _by_class(module: str) -> Mapping[str, Mapping[str, str]]:
    """Return the docstrings of all classes of a module, by the class's name."""
    return dict(_classes(ast.parse(inspect.getsource(sys.modules[module])), ""))


def _classes(tree: ast.AST, prefix: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            name = prefix + node.name
            yield name, dict(_below(node))
            yield from _classes(node, f"{name}.")
        else:
            yield from _classes(node, prefix)


def _below(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for statement, after in pairwise(node.body):
        match statement, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, inspect.cleandoc(text)
            case _:
                pass
