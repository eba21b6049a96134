{{- define "service-lib.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- if .Values.vault.enabled }}
{{ include "service-lib.vaultToken" . }}
{{- else }}
{{- include "service-lib.secretVolumes" (dict "root" . "secrets" .Values.vault.secrets) }}
{{- end }}
{{- if and .Values.grpc.port (ne .Values.tls.source "vault") }}
- name: tls
  secret: {secretName: {{ .Chart.Name }}-tls, defaultMode: 0440}
{{- end }}
{{- include "service-lib.storesCAVolume" . }}
{{- end }}

{{- define "service-lib.volumeMounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if not .Values.vault.enabled }}
{{- include "service-lib.secretMounts" .Values.vault.secrets }}
{{- end }}
{{- if and .Values.grpc.port (ne .Values.tls.source "vault") }}
- {name: tls, mountPath: /etc/souk/tls, readOnly: true}
{{- end }}
{{- include "service-lib.storesCAMount" . }}
{{- end }}

{{/* Whom to trust that a store is the one meant, if the service has a store. */}}
{{- define "service-lib.storesCAVolume" -}}
{{- if and .Values.storesCA.configMap (include "service-lib.mesh" . | fromYaml).stores }}
- name: stores-ca
  configMap: {name: {{ .Values.storesCA.configMap }}, defaultMode: 0444}
{{- end }}
{{- end }}

{{- define "service-lib.storesCAMount" -}}
{{- if and .Values.storesCA.configMap (include "service-lib.mesh" . | fromYaml).stores }}
- {name: stores-ca, mountPath: /etc/souk/stores, readOnly: true}
{{- end }}
{{- end }}

{{/* The token by which Vault's agent signs in: for Vault alone, unlike the default one. */}}
{{- define "service-lib.vaultToken" -}}
- name: vault-token
  projected:
    sources:
      - serviceAccountToken: {path: token, audience: {{ .Values.vault.audience }}, expirationSeconds: 3600}
{{- end }}

{{/* Kubernetes Secrets in the place of Vault's files: {root, secrets}. */}}
{{- define "service-lib.secretVolumes" -}}
{{- $name := .root.Values.secret.name | default (printf "%s-secrets" .root.Chart.Name) }}
{{- with (include "service-lib.secretFiles" .secrets | fromYamlArray) }}
- name: secrets
  secret:
    secretName: {{ $name }}
    defaultMode: 0440
    items:
      {{- range . }}
      - {key: {{ . }}, path: {{ . }}}
      {{- end }}
{{- end }}
{{- range $field, $secret := .secrets }}
{{- if $secret.folder }}
- name: {{ $field | replace "_" "-" }}
  secret: {secretName: {{ $.root.Chart.Name }}-{{ $field | replace "_" "-" }}, defaultMode: 0440}
{{- end }}
{{- end }}
{{- end }}

{{- define "service-lib.secretMounts" -}}
{{- if include "service-lib.secretFiles" . | fromYamlArray }}
- {name: secrets, mountPath: /vault/secrets, readOnly: true}
{{- end }}
{{- range $field, $secret := . }}
{{- if $secret.folder }}
- {name: {{ $field | replace "_" "-" }}, mountPath: /vault/{{ $field }}, readOnly: true}
{{- end }}
{{- end }}
{{- end }}

{{/* The names of those secrets that are files, not folders. */}}
{{- define "service-lib.secretFiles" -}}
{{- $files := list }}
{{- range $field, $secret := . }}{{ if not $secret.folder }}{{ $files = append $files $field }}{{ end }}{{ end }}
{{- toYaml $files }}
{{- end }}
