"""Advice: what helps a pod, or a set of pods, that Kubernetes has trouble with.

Pure. Kubernetes says what is wrong in words of its own; what to do about it is in the resource, and stands here.
"""

from __future__ import annotations

from remora_api.meta import Component

UNSCHEDULABLE = "Unschedulable"
"""How Kubernetes begins its words about a pod that fits on no node."""

_BY_WORDS = (
    (("persistentvolumeclaim",), "create the claim, or take it out of podTemplate"),
    (
        ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"),
        "check spec.image, and spec.imagePullSecrets if it is private",
    ),
    (
        ("FailedMount", "FailedAttachVolume"),
        "create what the volume is of, or take it out of podTemplate, or of spec.proxy.tls",
    ),
    (("CreateContainerConfigError",), "create it, or take it out of spec.env and spec.envFrom"),
    (("exceeded quota",), "raise the namespace's ResourceQuota, or lower what the pods ask for"),
    (("PodSecurity",), "change podTemplate so that the namespace's Pod Security level allows it"),
    (
        ("serviceaccount", "PriorityClass", "RuntimeClass"),
        "create it, or take it out of podTemplate",
    ),
    (
        ("RunContainerError", "CreateContainerError", "StartError", "failed to create containerd task"),
        "the image, or a command in podTemplate, is not one that can run: spec.image has to hold Remora's runtime",
    ),
)


def advice(trouble: str, component: Component) -> str:
    """Return what to do about a trouble, to be put behind it; empty when there is nothing to add."""
    for words, what in _BY_WORDS:
        if any(it in trouble for it in words):
            return f"; {what}"
    if not trouble.startswith(UNSCHEDULABLE):
        return ""
    if component is Component.WORKER:
        return (
            "; add a node, lower what a worker pod asks for, or let replicas go before their successors come: "
            "spec.rollout.maxUnavailable"
        )
    return f"; add a node, or lower spec.{component.value}.resources"
