"""Nodes of Ray Core's own graphs (`ray.dag`), where a program takes its InputNode from there, as nodes of ours.

Pure, and without importing Ray: who hands one over has imported it.
"""

from __future__ import annotations

from typing import Any

from remora.errors import GraphError
from remora.graph.node import GraphNode, InputNode, Part

_PACKAGE = "ray.dag"
_ATTRIBUTE = "_remora_input"


def adopted(value: Any) -> Any:
    """Return the value with nodes of `ray.dag` replaced, in lists, tuples and dicts too."""
    if _is_foreign(value):
        return _adopted_node(value)
    match value:
        case list():
            return [adopted(item) for item in value] if _holds_foreign(value) else value
        case tuple():
            return tuple(adopted(item) for item in value) if _holds_foreign(value) else value
        case dict():
            return {key: adopted(item) for key, item in value.items()} if _holds_foreign(value.values()) else value
        case _:
            return value


def _holds_foreign(values: Any) -> bool:
    return any(
        _is_foreign(value)
        or (isinstance(value, list | tuple) and _holds_foreign(value))
        or (isinstance(value, dict) and _holds_foreign(value.values()))
        for value in values
    )


def _is_foreign(value: Any) -> bool:
    return type(value).__module__.startswith(_PACKAGE) and hasattr(type(value), "_execute_impl")


def _adopted_node(node: Any) -> GraphNode:
    match type(node).__name__:
        case "InputNode":
            # One input however often it is used; these objects stay alive as long as their graph is written.
            found = vars(node).get(_ATTRIBUTE)
            if found is None:
                found = vars(node)[_ATTRIBUTE] = InputNode()
                if node._in_context_manager():
                    found.__enter__()
            return found  # type: ignore[no-any-return]  # kept by us in the foreign object
        case "InputAttributeNode":
            inner = _adopted_node(node._dag_input_node)
            return Part(inner, node._key, by_attribute=node._accessor_method == "__getattr__")
        case kind:
            raise GraphError(
                f"a {kind} of ray.dag cannot be an argument of a deployment: bind deployments, not Ray tasks or actors"
            )
