{{/* Each file of rules/ as a PrometheusRule; promtool reads the same files as they are. */}}
{{- define "service-lib.rules" -}}
{{- if .Values.monitoring.enabled }}
{{- range $path, $_ := .Files.Glob "rules/*.yaml" }}
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: {{ $.Chart.Name }}-{{ base $path | trimSuffix ".yaml" }}
  labels: {{- merge (deepCopy $.Values.monitoring.labels) (include "service-lib.labels" $ | fromYaml) | toYaml | nindent 4 }}
spec: {{- $.Files.Get $path | fromYaml | toYaml | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}
