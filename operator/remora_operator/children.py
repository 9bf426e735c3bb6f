"""Children: the objects that an application is made of, and which of them differ from what stands.

Pure. `resources` says what each looks like; here is which of them there have to be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remora_api import wire
from remora_api.meta import Annotation
from remora_api.v1alpha1 import ServeApplication
from remora_operator import names
from remora_operator.incarnations import INCARNATION_ANNOTATION, LAST_ANNOTATION, Clusters
from remora_operator.installation import Installation
from remora_operator.kinds import CONFIG_MAP, DEPLOYMENT, POD_BEARING, Manifest, Ref, ref_of
from remora_operator.observed import Observed
from remora_operator.resources import head, network, proxy, revision, serviceaccount, worker
from remora_operator.resources.metadata import Owner
from remora_operator.revisions import STABLE_ANNOTATION, Choice


def records(owner: Owner, observed: Observed, choice: Choice) -> list[Manifest]:
    """Return the revisions that are kept, each with its code."""
    records = [revision.record(owner, it) for it in choice.kept]
    codes = {it.code for it in choice.kept if it.code}
    copies = {code: observed.children.get(Ref(CONFIG_MAP, names.code(owner.name, code))) for code in codes}
    if isinstance(observed.code, wire.CodeBundle) and observed.code.digest in codes:
        fresh = [revision.code(owner, observed.code)]
        copies.pop(observed.code.digest)
    else:
        fresh = []
    return fresh + [it.manifest for it in copies.values() if it is not None] + records


def common(
    owner: Owner,
    application: ServeApplication,
    installation: Installation,
    routing: wire.Routing,
    clusters: Clusters,
    choice: Choice,
) -> list[Manifest]:
    """Return what is there also while the application is suspended: nothing in it runs."""
    routing_map = proxy.routing_map(owner, routing)
    stable = choice.wanted if clusters.is_served and choice.wanted else choice.stable
    routing_map["metadata"]["annotations"] |= {
        INCARNATION_ANNOTATION: str(clusters.serving),
        LAST_ANNOTATION: str(clusters.last),
        STABLE_ANNOTATION: stable.name if stable else "",
    }
    policies = (
        network.policies(owner, installation.namespace, grpc=application.spec.proxy.grpc is not None)
        if application.spec.network_policy.enabled
        else []
    )
    return [*serviceaccount.accounts(owner), routing_map, *policies, proxy.service(owner, application)]


def serving(
    owner: Owner, application: ServeApplication, observed: Observed, installation: Installation
) -> list[Manifest]:
    """Return what takes requests."""
    made_from = names.short_hash(proxy.inputs(application))
    existing = observed.children.get(Ref(DEPLOYMENT, names.proxy(owner.name)))
    kept_image = existing.annotation(head.IMAGE_ANNOTATION) if existing and existing.made_from == made_from else ""
    return [
        proxy.deployment(owner, application, kept_image or installation.runtime_image, made_from),
        proxy.budget(owner),
    ]


def cluster(
    owner: Owner, application: ServeApplication, clusters: Clusters, *, without_head: bool = False
) -> list[Manifest]:
    """Return the Ray cluster, without the workers; `without_head` only the Service, whose name is looked up meanwhile.

    A name server remembers for up to half a minute that there is no such name, or the address that it had.
    """
    number = clusters.newest
    address = head.service(owner, number)
    if without_head:
        return [address]
    objects = [
        address,
        head.stateful_set(owner, application, number, clusters.image, clusters.made_from),
        worker.budget(owner),
    ]
    if clusters.has_started:
        # Before any replica: the controller is told of none until this is there.
        objects.insert(0, head.born_mark(owner, number))
    return objects


def differs(wanted: Manifest, observed: Observed) -> bool:
    """Whether an object has to be applied.

    A pod template is compared by the digest of its inputs only, so that another version of the operator replaces no
    pods; everything else also field by field, so that a change by hand is undone.
    """
    child = observed.children.get(ref_of(wanted))
    if child is None:
        return True
    made_from = _made_from(wanted)
    if child.ref.kind in POD_BEARING:
        return child.made_from != made_from
    return child.made_from != made_from or not _covers(child.manifest, wanted)


def _made_from(wanted: Manifest) -> str:
    text: str = wanted["metadata"]["annotations"][Annotation.SPEC_HASH]
    return text


def _covers(live: Any, wanted: Any) -> bool:
    """Whether everything that is wanted stands in the live object, which may have more (defaults, status)."""
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(_covers(live.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return (
            isinstance(live, list)
            and len(live) == len(wanted)
            and all(_covers(have, want) for have, want in zip(live, wanted, strict=True))
        )
    return bool(live == wanted)
