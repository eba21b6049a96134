{{/* Refuses values without which nothing would run. */}}
{{- define "service-lib.required" -}}
{{- if not (or .Values.image.tag .Values.image.digest) }}
{{- fail (printf "%s: image.tag or image.digest is required: which build of the service is meant?" .Chart.Name) }}
{{- end }}
{{- if not .Values.image.registry }}
{{- fail (printf "%s: image.registry is required, like 111122223333.dkr.ecr.eu-central-1.amazonaws.com/souk" .Chart.Name) }}
{{- end }}
{{- if and (eq .Values.tls.source "vault") (not .Values.vault.enabled) .Values.grpc.port }}
{{- fail (printf "%s: tls.source is vault, but vault.enabled is false: set tls.source to certManager or secret" .Chart.Name) }}
{{- end }}
{{- if and (eq .Values.tls.source "certManager") (not .Values.tls.certManager.issuerRef.name) }}
{{- fail (printf "%s: tls.certManager.issuerRef.name is required: the issuer that signs for the mesh" .Chart.Name) }}
{{- end }}
{{- range $name, $secret := .Values.vault.secrets }}
{{- if and $.Values.vault.enabled (not $secret.path) }}
{{- fail (printf "%s: vault.secrets.%s.path is required: where the secret is in Vault" $.Chart.Name $name) }}
{{- end }}
{{- if and $.Values.vault.enabled (not $.Values.storesCA.configMap) (contains "${ca}" ($secret.template | default "")) }}
{{- fail (printf "%s: storesCA.configMap is required: vault.secrets.%s names its file by ${ca}" $.Chart.Name $name) }}
{{- end }}
{{- end }}
{{- range $store := (include "service-lib.mesh" . | fromYaml).stores }}
{{- if not (get $.Values.stores $store).peers }}
{{- fail (printf "%s: stores.%s.peers is required: the network policy would cut the service off from its store" $.Chart.Name $store) }}
{{- end }}
{{- end }}
{{- end }}
