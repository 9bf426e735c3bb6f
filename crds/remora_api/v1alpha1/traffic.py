"""Which requests go to a new revision while there are two: `spec.traffic`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from annotated_types import Ge, Le, MaxLen, MinLen

from remora_api.model import Int, Model, Rule, matches

HeaderName = Annotated[
    str,
    MinLen(1),
    MaxLen(64),
    matches(r"[A-Za-z0-9-]+", "must be a header's name of letters, digits and '-', for instance x-beta"),
]
CookieName = Annotated[
    str,
    MinLen(1),
    MaxLen(64),
    matches(r"[A-Za-z0-9_-]+", "must be a cookie's name of letters, digits, '_' and '-', for instance beta"),
]


class RevisionRole(StrEnum):
    """Which of the two revisions of a rollout."""

    CURRENT = "Current"
    UPDATED = "Updated"


class TrafficRule(Model):
    """Requests that go to one revision whatever its weight."""

    RULES: ClassVar = (
        Rule(
            "has(self.header) != has(self.cookie)",
            "set exactly one of header and cookie",
            lambda it: (it.header is None) != (it.cookie is None),
        ),
    )

    header: HeaderName | None = None
    """Name of a header, in any case."""
    cookie: CookieName | None = None
    """Name of a cookie."""
    value: Annotated[str, MaxLen(256)] | None = None
    """What the header or cookie has to say, exactly; anything unless given."""
    to: RevisionRole = RevisionRole.UPDATED
    """Updated for the new revision, Current for the one before."""


class Sticky(Model):
    """The same client always meets the same revision."""

    cookie: CookieName = "remora-client"
    """Name of the cookie by which the proxies know a client again. Clients without it are given one."""


class Mirror(Model):
    """A share of the requests goes to the new revision as well, and its answers are thrown away."""

    percent: Annotated[Int, Ge(1), Le(100)] = 100
    """Requests in a hundred that are repeated, of those whose body has arrived with their head (128 KiB at most).
    What your code does on them, it does twice."""


class Traffic(Model):
    """How requests are shared while a Canary or BlueGreen rollout has two revisions running."""

    rules: Annotated[tuple[TrafficRule, ...], MaxLen(16)] = ()
    """Headers and cookies that choose a revision; the first that fits is followed."""
    sticky: Sticky | None = None
    """Keep each client on one revision, by a cookie. A weight that grows moves clients one way only."""
    mirror: Mirror | None = None
    """Repeat requests to the new revision, and throw its answers away."""
