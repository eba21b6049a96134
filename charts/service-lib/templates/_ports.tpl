{{/* The ports by name, of those that the service has. */}}
{{- define "service-lib.ports" -}}
{{- if .Values.grpc.port }}
grpc: {{ .Values.grpc.port }}
probe: {{ .Values.probe.port }}
metrics: {{ .Values.metrics.port }}
{{- end }}
{{- if .Values.http.port }}
http: {{ .Values.http.port }}
{{- end }}
{{- end }}

{{- define "service-lib.containerPorts" -}}
{{- range $name, $port := include "service-lib.ports" . | fromYaml }}
- {name: {{ $name }}, containerPort: {{ $port }}}
{{- end }}
{{- end }}
