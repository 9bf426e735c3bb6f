"""The CustomResourceDefinition, made of the models.

Pure: one value, the manifest. `__main__` writes it to `crds/` and, with the switches of Helm, into the chart.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import yaml

from remora_api import meta
from remora_api.schema import Schema, description, field_schema, prose
from remora_api.v1alpha1 import Metadata, ServeApplication

Manifest: TypeAlias = dict[str, Any]

NAME = f"{meta.PLURAL}.{meta.GROUP}"


def _condition(kind: meta.ConditionType, field: str) -> str:
    return f'.status.conditions[?(@.type=="{kind.value}")].{field}'


def _column(name: str, path: str, description: str, *, kind: str = "string", wide: bool = False) -> Manifest:
    """Return a column of `kubectl get`; a wide one shows with `-o wide` only."""
    column = {"name": name, "type": kind, "jsonPath": path, "description": description}
    # Priority 0 is dropped by the API server, and so would be a difference for ever.
    return column | ({"priority": 1} if wide else {})


COLUMNS = (
    _column("Ready", _condition(meta.ConditionType.READY, "status"), "Whether the latest spec is served."),
    _column("Reason", _condition(meta.ConditionType.READY, "reason"), "Why, in one word."),
    _column("Replicas", ".status.ready", "Replicas that answer, of those wanted."),
    _column("URL", ".status.url", "Where the application answers."),
    _column("Age", ".metadata.creationTimestamp", "Time since it was created.", kind="date"),
    _column(
        "Available", _condition(meta.ConditionType.AVAILABLE, "status"), "Whether requests are answered.", wide=True
    ),
    _column("Revision", ".status.currentRevision", "The revision that answers.", wide=True),
    _column("Ray", ".status.ray.version", "Version of Ray.", wide=True),
    _column("Message", _condition(meta.ConditionType.READY, "message"), "Why, in a sentence.", wide=True),
)


def resource_schema() -> Schema:
    """Return the schema of the whole resource. Of metadata the API server lets only the name be restricted."""
    return {
        "description": prose(ServeApplication.__doc__ or ""),
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": description(ServeApplication, "api_version")},
            "kind": {"type": "string", "description": description(ServeApplication, "kind")},
            "metadata": {"type": "object", "properties": {"name": field_schema(Metadata, "name")}},
            "spec": field_schema(ServeApplication, "spec"),
            "status": field_schema(ServeApplication, "status"),
        },
    }


def crd() -> Manifest:
    """Return the CustomResourceDefinition of ServeApplication."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": NAME,
            "labels": {meta.Label.NAME: "remora", meta.Label.PART_OF: "remora"},
        },
        "spec": {
            "group": meta.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": meta.KIND,
                "listKind": meta.LIST_KIND,
                "plural": meta.PLURAL,
                "singular": meta.SINGULAR,
                "shortNames": [meta.SHORT_NAME],
                "categories": list(meta.CATEGORIES),
            },
            "versions": [
                {
                    "name": meta.VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.replicas",
                            "statusReplicasPath": ".status.replicas",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "additionalPrinterColumns": list(COLUMNS),
                    "schema": {"openAPIV3Schema": resource_schema()},
                }
            ],
        },
    }


class _Plain(yaml.SafeDumper):
    """YAML without anchors: every part is written out where it stands."""

    def ignore_aliases(self, data: Any) -> bool:
        """Never write an alias."""
        return True


_HEADER = "# Generated from crds/remora_api by `python -m remora_api generate`. Change the models, not this file.\n"


def as_yaml(manifest: Manifest) -> str:
    """Return the manifest as a file."""
    return _HEADER + yaml.dump(manifest, Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True)


_CHART_METADATA = """\
  annotations:
    {{- if .Values.crds.keep }}
    helm.sh/resource-policy: keep
    {{- end }}
    argocd.argoproj.io/sync-options: ServerSideApply=true
"""


def as_chart_template(manifest: Manifest) -> str:
    """Return the manifest as a template of the chart: behind `crds.install`, and kept on uninstall by `crds.keep`.

    A template, as Helm never upgrades what stands in a chart's `crds/` folder.
    """
    text = as_yaml(manifest).replace("{{", '{{ "{{" }}')
    header, body = text[: len(_HEADER)], text[len(_HEADER) :]
    name = f"  name: {NAME}\n"
    return header + "{{- if .Values.crds.install }}\n" + body.replace(name, name + _CHART_METADATA, 1) + "{{- end }}\n"
