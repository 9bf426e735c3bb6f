"""Paths of URLs in the resource."""

from __future__ import annotations

from typing import Annotated, Final

from annotated_types import MaxLen, MinLen

from remora_api.model import Rule, matches

_SEGMENTS: Final = r"(/[A-Za-z0-9._~!$&()*+,;=:@%-]+)+"
_NOT_RESERVED: Final = Rule(
    "self != '/-' && !self.startsWith('/-/')",
    "/-/ is reserved for the proxy's own pages: choose another prefix",
    lambda prefix: prefix != "/-" and not prefix.startswith("/-/"),
)

RoutePrefix = Annotated[
    str,
    MinLen(1),
    MaxLen(200),
    matches(
        rf"/|{_SEGMENTS}",
        "must begin with / and not end with one (unless it is just /), for instance /api",
    ),
    _NOT_RESERVED,
]
PreviewPath = Annotated[
    str,
    MinLen(1),
    MaxLen(200),
    matches(_SEGMENTS, "must begin with / and not end with one, for instance /preview"),
    _NOT_RESERVED,
]
