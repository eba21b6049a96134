{{/* HTTP where it is what clients use, else gRPC on the port that has no TLS. */}}
{{- define "service-lib.probes" -}}
startupProbe:
  {{- include "service-lib.probe" (dict "root" . "is" "live") | trim | nindent 2 }}
  periodSeconds: 2
  failureThreshold: 60
  timeoutSeconds: 3
readinessProbe:
  {{- include "service-lib.probe" (dict "root" . "is" "ready") | trim | nindent 2 }}
  periodSeconds: 5
  failureThreshold: 2
  timeoutSeconds: 3
livenessProbe:
  {{- include "service-lib.probe" (dict "root" . "is" "live") | trim | nindent 2 }}
  periodSeconds: 10
  failureThreshold: 3
  timeoutSeconds: 3
{{- end }}

{{/* To be live asks for the process alone: to start it anew would not mend its store. */}}
{{- define "service-lib.probe" -}}
{{- if .root.Values.http.port -}}
httpGet: {port: http, path: {{ get .root.Values.http .is }}}
{{- else -}}
grpc: {port: {{ .root.Values.probe.port }}{{ if eq .is "live" }}, service: liveness{{ end }}}
{{- end }}
{{- end }}
