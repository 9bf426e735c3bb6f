"""Revisions: what pods and replicas are made from, kept so that it can be gone back to.

Pure. A revision is known by the digest of its inputs. The one that is being rolled out always has the highest number:
one that comes back gets a new number, and with it another try. What is not an input (replica counts, userConfig,
limits, timeouts, proxies) changes in place and makes no revision.

    spec ──▶ updated ──▶ wanted: updated, unless it failed or the rollout is paused; then the stable one
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from remora_api import wire
from remora_api.meta import Annotation
from remora_api.v1alpha1 import Deployment, ServeApplication, ServeApplicationSpec, WorkerGroup
from remora_operator import names
from remora_operator.codes import unpacked
from remora_operator.installation import Installation
from remora_operator.kinds import CONFIG_MAP, CONTROLLER_REVISION, Ref
from remora_operator.observed import Child, CodeMissing, Observed
from remora_operator.resources import head

STABLE_ANNOTATION = "remora.dev/stable-revision"
"""On the routing ConfigMap: the revision that served fully last."""

_SCALED = ("min_replicas", "max_replicas")
_COUNTS = ("replicas", "autoscaling")


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision and how far its rollout is."""

    name: str
    number: int
    inputs: str
    """Digest of what it is made from."""
    image: str
    """Of head and workers, as it was resolved when the revision was made."""
    spec: Mapping[str, Any]
    """The spec that it was made from, as JSON values, without the files of inline code."""
    code: str = ""
    """Digest of its code bundle; empty without one."""
    deployments: tuple[Mapping[str, Any], ...] = ()
    """`spec.deployments` as they were last: what changes in place comes back with it, but for replica counts."""
    began: datetime | None = None
    """When its rollout began."""
    step: int = 0
    """How many steps of its rollout it has reached."""
    since: datetime | None = None
    """When it reached that step."""
    failed: str = ""
    """Why it was taken back."""

    def anew(self, number: int) -> Revision:
        """Return it as it is rolled out once more."""
        return replace(self, number=number, began=None, step=0, since=None, failed="")


class Verb(StrEnum):
    """What a person can ask of a rollout, in the annotation `remora.dev/rollout`: `VERB REVISION/NUMBER [STEP]`."""

    PROMOTE = "promote"
    ABORT = "abort"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which revisions there are, and which to run."""

    kept: tuple[Revision, ...] = ()
    """Those to keep, the newest first."""
    updated: Revision | None = None
    """What the spec asks for; None while its code is missing."""
    wanted: Revision | None = None
    """What to bring about now."""
    stable: Revision | None = None
    """What served fully last, and still does unless it is being replaced in place."""
    is_pinned: bool = False
    is_held: bool = False
    """The rollout is paused before it began."""
    problem: str = ""
    """Why `spec.revision` cannot be followed."""

    @property
    def is_rolled_back(self) -> bool:
        """The stable revision runs because the updated one failed."""
        return self.updated is not None and bool(self.updated.failed) and self.wanted != self.updated

    @property
    def is_new(self) -> bool:
        """Something else is to be served than what is."""
        return self.wanted is not None and self.stable is not None and self.wanted.name != self.stable.name

    def having(self, changed: Revision) -> Choice:
        """Return the choice with a revision of it in another state."""

        def new(old: Revision | None) -> Revision | None:
            return changed if old is not None and old.name == changed.name else old

        return replace(
            self,
            kept=tuple(changed if it.name == changed.name else it for it in self.kept),
            updated=new(self.updated),
            wanted=new(self.wanted),
            stable=new(self.stable),
        )


def choose(application: ServeApplication, observed: Observed, installation: Installation, now: datetime) -> Choice:
    """Return which revision is wanted; a new one when the spec has none of the past."""
    past = {it.name: it for it in history(observed)}
    stable = past.get(_stable_name(application, observed))
    pin = application.spec.revision
    problem = ""
    if pin is None:
        updated = _of_spec(application, observed, past, installation)
    else:
        updated = past.get(pin)
        if updated is None:
            known = ", ".join(sorted(past)) or "none yet"
            problem = f"spec.revision: there is no revision {pin}; there are {known}: name one, or remove the field"
    if updated is None:
        used = (stable.name,) if stable is not None else ()
        return Choice(
            _kept(past, application, used), stable=stable, wanted=stable, is_pinned=bool(pin), problem=problem
        )

    highest = max((it.number for it in past.values() if it.name != updated.name), default=0)
    if updated.number <= highest or _asked(application, Verb.RETRY, updated):
        updated = updated.anew(max(highest, updated.number) + 1)
    is_back = stable is not None and stable.name == updated.name
    if is_back:
        updated = replace(updated, failed="", began=updated.began or now)
    elif stable is not None and _asked(application, Verb.ABORT, updated) and not updated.failed:
        updated = replace(updated, failed="aborted by hand")
    is_held = stable is not None and application.spec.rollout.paused and updated.began is None
    if (updated.failed and stable is not None and pin is None) or (is_held and stable is not None):
        wanted = stable
    else:
        wanted = updated = replace(updated, began=updated.began or now)
    past[updated.name] = updated
    if is_back:
        stable = wanted = updated
    kept = _kept(past, application, tuple(it.name for it in (updated, wanted, stable) if it is not None))
    return Choice(kept, updated, wanted, stable, is_pinned=pin is not None, is_held=is_held)


def history(observed: Observed) -> list[Revision]:
    """Return the revisions that are recorded."""
    found = (_read(it) for it in observed.children.values() if it.ref.kind is CONTROLLER_REVISION)
    return sorted((it for it in found if it is not None), key=lambda it: it.number)


def inputs(spec: ServeApplicationSpec, code: str) -> dict[str, Any]:
    """Return what a revision is made from, as JSON values to take a digest over."""

    def plain(model: Any) -> Any:
        return model.model_dump(mode="json", by_alias=True, exclude_none=True)

    return {
        "importPath": spec.import_path,
        "args": spec.args,
        # Only where there is one: revisions without a graph keep their names.
        **({"graph": plain(spec.graph)} if spec.graph else {}),
        **({"tracing": plain(spec.tracing)} if spec.tracing else {}),
        "code": code,
        "env": [plain(it) for it in spec.env],
        "envFrom": [plain(it) for it in spec.env_from],
        "head": {
            "image": spec.image or "",
            "pull": [spec.image_pull_policy, [it.name for it in spec.image_pull_secrets]],
            "head": plain(spec.head),
        },
        "workers": {
            it.name: [it.resources.root, plain(it.pod_template) if it.pod_template else None] for it in spec.workers
        },
        "deployments": {it.name: it.resources.root for it in spec.deployments if it.resources is not None},
    }


def applied(revision: Revision, application: ServeApplication) -> ServeApplication:
    """Return the application as it is with a revision of the past: what is no input comes from the present."""
    spec = application.spec
    past = ServeApplicationSpec.model_validate(dict(revision.spec), extra="ignore", by_alias=True, by_name=False)
    if names.short_hash(inputs(spec, revision.code)) == revision.inputs:
        return application
    present_groups = {it.name: it for it in spec.workers}
    present = {it.name: it for it in spec.deployments}
    deployments = [Deployment.model_validate(dict(it), extra="ignore") for it in revision.deployments]
    taken = {
        "import_path", "args", "graph", "image", "image_pull_secrets", "image_pull_policy", "code", "env", "env_from",
        "head", "tracing",
    }  # fmt: skip
    update: dict[str, Any] = {name: getattr(past, name) for name in taken}
    update["workers"] = tuple(_group(it, present_groups.get(it.name)) for it in past.workers)
    update["deployments"] = tuple(_with_counts(it, present.get(it.name)) for it in deployments)
    return application.model_copy(update={"spec": spec.model_copy(update=update)})


def code_of(revision: Revision, observed: Observed, application: str) -> wire.CodeBundle | None:
    """Return a revision's code: the user's own while it is the same, else the copy; None without any, or a lost one."""
    if isinstance(observed.code, wire.CodeBundle) and observed.code.digest == revision.code:
        return observed.code
    copy = observed.children.get(Ref(CONFIG_MAP, names.code(application, revision.code)))
    return unpacked(copy.manifest, revision.code) if revision.code and copy else None


def promoted_to(application: ServeApplication, revision: Revision) -> int | None:
    """Return the step up to which a person has promoted a revision; None if nobody has."""
    words = application.metadata.annotations.get(Annotation.ROLLOUT, "").split()
    if not _asked(application, Verb.PROMOTE, revision):
        return None
    return int(words[2]) if len(words) > 2 and words[2].isdigit() else 1000


def _asked(application: ServeApplication, verb: Verb, revision: Revision) -> bool:
    words = application.metadata.annotations.get(Annotation.ROLLOUT, "").split()
    return words[:2] == [verb.value, f"{revision.name}/{revision.number}"]


def _of_spec(
    application: ServeApplication, observed: Observed, past: Mapping[str, Revision], installation: Installation
) -> Revision | None:
    """Return the spec's own revision, known or new; None while its code is missing."""
    if isinstance(observed.code, CodeMissing):
        return None
    spec, code = application.spec, observed.code.digest if observed.code else ""
    made_from = inputs(spec, code)
    digest = names.short_hash(made_from)
    plain = tuple(it.model_dump(mode="json", by_alias=True, exclude_unset=True) for it in spec.deployments)
    known = [it for it in past.values() if it.inputs == digest]
    if known:
        return replace(max(known, key=lambda it: it.number), deployments=plain)
    image = spec.image or _kept_image(application, observed) or installation.runtime_image
    name = f"{application.metadata.name}-{names.short_hash([made_from, image])}"
    snapshot = spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"code": {"inline"}})
    if snapshot.get("code") == {}:
        del snapshot["code"]
    return Revision(name, 0, digest, image, snapshot, code, plain)


def _kept_image(application: ServeApplication, observed: Observed) -> str:
    """Return the image of a head that need not change: a later operator's default alone replaces nothing."""
    wanted = names.short_hash(head.inputs(application))
    same = [it for _, it in sorted(observed.heads().items()) if it.made_from == wanted]
    return same[-1].annotation(head.IMAGE_ANNOTATION) if same else ""


def _stable_name(application: ServeApplication, observed: Observed) -> str:
    routing = observed.children.get(Ref(CONFIG_MAP, names.routing(application.metadata.name)))
    return routing.annotation(STABLE_ANNOTATION) if routing else ""


def _kept(past: Mapping[str, Revision], application: ServeApplication, used: tuple[str, ...]) -> tuple[Revision, ...]:
    """Return what the history keeps: what is in use, and the newest of the rest, those that can be gone back to first.

    Otherwise a few attempts that failed would leave nothing to go back to.
    """
    newest = sorted(past.values(), key=lambda it: it.number, reverse=True)
    idle = sorted((it for it in newest if it.name not in used), key=lambda it: bool(it.failed))
    kept = {*used, *(it.name for it in idle[: application.spec.revision_history_limit])}
    return tuple(it for it in newest if it.name in kept)


def _group(past: WorkerGroup, present: WorkerGroup | None) -> WorkerGroup:
    return past.model_copy(update={name: getattr(present, name) for name in _SCALED}) if present else past


def _with_counts(past: Deployment, present: Deployment | None) -> Deployment:
    if present is None:
        return past
    return past.model_copy(update={it: getattr(present, it) for it in _COUNTS if it in Deployment.model_fields})


def _read(child: Child) -> Revision | None:
    """Read a record; None for one that this version does not understand."""
    data = child.manifest.get("data") or {}
    try:
        began, since = (child.annotation(it) for it in (Annotation.ROLLOUT_BEGAN, Annotation.ROLLOUT_SINCE))
        return Revision(
            name=child.ref.name,
            number=int(child.manifest.get("revision", 0)),
            inputs=data["inputs"],
            image=data["image"],
            spec=data["spec"],
            code=data.get("code", ""),
            deployments=tuple(json.loads(child.annotation(Annotation.DEPLOYMENTS) or "[]")),
            began=datetime.fromisoformat(began) if began else None,
            step=int(child.annotation(Annotation.ROLLOUT_STEP) or 0),
            since=datetime.fromisoformat(since) if since else None,
            failed=child.annotation(Annotation.ROLLOUT_FAILED),
        )
    except (KeyError, ValueError):
        return None
