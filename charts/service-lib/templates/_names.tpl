{{/* What the contracts say of the service: its callers, callees, stores. Empty if it has no RPC. */}}
{{- define "service-lib.mesh" -}}
{{- .Files.Get "derived/mesh.yaml" | default "{stores: []}" }}
{{- end }}

{{/* Labels of the objects of a service. */}}
{{- define "service-lib.labels" -}}
{{ include "service-lib.selector" . }}
app.kubernetes.io/part-of: souk
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* Labels of the service's own pods, not of those that migrate or test. */}}
{{- define "service-lib.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/component: service
{{- end }}

{{- define "service-lib.image" -}}
{{- $image := printf "%s/%s" .Values.image.registry (.Values.image.repository | default .Chart.Name) }}
{{- if .Values.image.digest }}{{ $image }}@{{ .Values.image.digest }}{{ else }}{{ $image }}:{{ .Values.image.tag }}{{ end }}
{{- end }}
