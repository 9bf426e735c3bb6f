{{- define "remora.fullname" -}}
{{- if contains "remora" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-remora" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end -}}
{{- end }}

{{- define "remora.selector" -}}
app.kubernetes.io/name: remora
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "remora.labels" -}}
{{ include "remora.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: remora
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "remora.account" -}}
{{ .Values.serviceAccount.name | default (include "remora.fullname" .) }}
{{- end }}

{{- define "remora.image" -}}
{{- if .image.digest }}{{ .image.repository }}@{{ .image.digest }}{{ else }}{{ .image.repository }}:{{ .image.tag | default .chart.AppVersion }}{{ end -}}
{{- end }}

{{- define "remora.masterSecret" -}}
{{ .Values.masterKey.existingSecret | default (printf "%s-master-key" (include "remora.fullname" .)) }}
{{- end }}

{{- define "remora.namespaces" -}}
{{- if eq .Values.rbac.scope "namespace" }}{{ .Values.rbac.namespaces | default (list .Release.Namespace) | join "," }}{{ end -}}
{{- end }}

{{/* What the operator may do in the namespaces that it serves, with the reason for each rule. */}}
{{- define "remora.rules" -}}
# The resource itself is only read; its spec belongs to its author.
- apiGroups: [remora.dev]
  resources: [serveapplications]
  verbs: [get, list, watch]
- apiGroups: [remora.dev]
  resources: [serveapplications/status]
  verbs: [get, patch, update]
# Owner references with blockOwnerDeletion need this where that admission plugin runs.
- apiGroups: [remora.dev]
  resources: [serveapplications/finalizers]
  verbs: [update]
# Children: the head, the workers, the proxies.
- apiGroups: [apps]
  resources: [statefulsets, replicasets, deployments, controllerrevisions]
  verbs: [get, list, watch, create, patch, update, delete]
# Children: their Services, accounts, routing and code; user code is read from ConfigMaps.
- apiGroups: [""]
  resources: [services, serviceaccounts, configmaps]
  verbs: [get, list, watch, create, patch, update, delete]
# Deletion costs of drained workers are patched; a head that lost its store is deleted.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch, delete]
# Keys are derived, so they are made and never read: with any other verb foreign Secrets could be read.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, update, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, update, delete]
- apiGroups: [events.k8s.io, ""]
  resources: [events]
  # Listed for what says in events only why it does not come up: a StatefulSet without a pod, a pod without its volumes.
  verbs: [create, patch, list]
{{- end }}
