{{/* The environment of the service: SOUK_<NAME> for each setting. */}}
{{- define "service-lib.env" -}}
{{- $settings := dict }}
{{- if .Values.grpc.port }}
{{- $settings = deepCopy .Values.meshSettings }}
{{- $settings = merge (include "service-lib.ownSettings" . | fromYaml) $settings }}
{{- end }}
{{- $settings = merge (deepCopy .Values.settings) $settings }}
{{- range $name, $secret := .Values.vault.secrets }}
{{- if $secret.folder }}
{{- $_ := set $settings $name (printf "/vault/%s" $name) }}
{{- else }}
{{- $_ := set $settings (printf "%s_file" $name) (printf "/vault/secrets/%s" $name) }}
{{- end }}
{{- end }}
{{- range $name, $value := $settings }}
{{- if not (kindIs "invalid" $value) }}
- name: SOUK_{{ upper $name }}
  value: {{ include "service-lib.setting" $value | quote }}
{{- end }}
{{- end }}
{{- if and .Values.grpc.port .Values.monitoring.otlpEndpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .Values.monitoring.otlpEndpoint | quote }}
{{- end }}
{{- end }}

{{/* What the chart knows better than its values. */}}
{{- define "service-lib.ownSettings" -}}
listen: 0.0.0.0:{{ .Values.grpc.port }}
probe_listen: 0.0.0.0:{{ .Values.probe.port }}
metrics_listen: 0.0.0.0:{{ .Values.metrics.port }}
tls_ca: {{ include "service-lib.tlsFolder" . }}/ca.crt
tls_cert: {{ include "service-lib.tlsFolder" . }}/tls.crt
tls_key: {{ include "service-lib.tlsFolder" . }}/tls.key
drain_wait: {{ .Values.drain.waitSeconds }}s
drain_grace: {{ .Values.drain.graceSeconds }}s
{{- end }}

{{/* A setting's text, as services/mesh/settings.py reads it. */}}
{{- define "service-lib.setting" -}}
{{- if kindIs "slice" . }}{{ join "," . }}
{{- else if kindIs "map" . }}
{{- $pairs := list }}
{{- range $name, $value := . }}{{ $pairs = append $pairs (printf "%s=%s" $name $value) }}{{ end }}
{{- join "," $pairs }}
{{- else if kindIs "float64" . }}{{ eq (floor .) . | ternary (int64 . | toString) (toString .) }}
{{- else }}{{ toString . }}
{{- end }}
{{- end }}

{{/* Where the certificate is: Vault's agent keeps it beside the secrets. */}}
{{- define "service-lib.tlsFolder" -}}
{{- eq .Values.tls.source "vault" | ternary "/vault/secrets" "/etc/souk/tls" }}
{{- end }}
