"""What proxies are told of an application's Ray clusters."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from remora_api import wire
from remora_api.v1alpha1 import ServeApplication
from remora_operator.incarnations import Clusters
from remora_operator.observed import Observed, child_from
from remora_operator.resources import head
from remora_operator.resources.metadata import Owner
from remora_operator.revisions import Choice, Revision
from remora_operator.routing import routing

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def revision(name: str, number: int) -> Revision:
    return Revision(name=name, number=number, inputs=name, image="runtime:1", spec={})


def told(
    blue_green: dict[str, Any] | None, newest: int = 2, *, has_service: bool = True, **spec: Any
) -> tuple[wire.ApplicationRouting, ...]:
    """Return what is routed while revision `new` stands beside `old`, or of one Ray cluster alone."""
    rollout = {"strategy": "BlueGreen", "blueGreen": blue_green} if blue_green is not None else {}
    application = ServeApplication.from_manifest(
        {"metadata": {"name": "hello"}, "spec": {"importPath": "hello:app", "rollout": rollout, **spec}}
    )
    old, new = revision("old", 1), revision("new", 2)
    choice = Choice(kept=(new, old), updated=new, wanted=new, stable=old) if newest == 2 else Choice(stable=old)
    clusters = Clusters(newest, 1, "runtime:1", "x", has_started=True, is_born=True)
    service = child_from(head.service(Owner.of(application), newest))
    children = {service.ref: service} if has_service else {}
    return routing(application, Observed(children), clusters, choice, NOW).applications


def test_a_preview_has_a_path_of_its_own_below_which_there_is_the_new_revision_alone() -> None:
    whole, preview = told({"previewPath": "/preview"}, traffic={"sticky": {}}, scaleToZero={"idleSeconds": 60})
    assert [(it.revision, it.weight) for it in whole.controllers] == [("old", 100), ("new", 0)]
    assert (preview.application, preview.route_prefix) == ("hello", "/preview")
    assert [(it.revision, it.weight) for it in preview.controllers] == [("new", 100)]
    assert preview.controllers[0].url == whole.controllers[1].url
    assert (preview.rules, preview.sticky_cookie, preview.hold) == ((), "", None)
    assert whole.sticky_cookie
    assert whole.hold is not None


def test_there_is_no_such_path_without_two_revisions_or_without_being_asked_for() -> None:
    assert [it.route_prefix for it in told({"previewPath": "/preview"}, newest=1)] == ["/"]
    assert [it.route_prefix for it in told({}, routePrefix="/api")] == ["/api"]
    assert [it.route_prefix for it in told(None)] == ["/"]


def test_a_ray_cluster_is_not_told_of_before_it_can_be_found() -> None:
    (whole,) = told({"previewPath": "/preview"}, has_service=False)
    assert [(it.revision, it.weight) for it in whole.controllers] == [("old", 100)]
