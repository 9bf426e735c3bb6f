"""Labels of Ray's nodes, and the selectors that ask for them: operator and controller read them alike. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

GROUP: Final = "remora.dev/group"
"""The worker group of a pod: every worker has this one."""

_LATER: Final = ("ray.io/", "remora.dev/")
"""Keys of labels that a node may give itself when it is there, as `ray.io/accelerator-type`."""


def suits(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Tell whether a node has the labels that a selector of Ray's asks for: `a`, `!a`, `in(a, b)`, `!in(a, b)`."""
    return all(_suits(wanted, labels.get(name)) for name, wanted in selector.items())


def may_suit(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Tell the same of a node that is not there yet and will have these labels, beside those that it gives itself."""
    known = {name: wanted for name, wanted in selector.items() if name in labels or not name.startswith(_LATER)}
    return suits(known, labels)


def _suits(wanted: str, label: str | None) -> bool:
    negated = wanted.startswith("!")
    text = wanted.removeprefix("!")
    listed = re.fullmatch(r"(?:in)?\((.*)\)", text)
    values = [value.strip() for value in listed[1].split(",")] if listed else [text]
    return (label in values) is not negated
