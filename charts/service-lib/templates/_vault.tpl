{{/* Has Vault's agent write the secrets of `vault.secrets`, and the certificate, into the pod. */}}
{{- define "service-lib.vault" -}}
{{- if .Values.vault.enabled }}
{{- include "service-lib.vaultAgent" (dict "root" . "role" (.Values.vault.role | default (printf "souk-%s" .Chart.Name))) }}
{{- range $name, $secret := .Values.vault.secrets }}
{{ include "service-lib.vaultSecret" (dict "root" $ "name" $name "secret" $secret) }}
{{- end }}
{{- if and .Values.grpc.port (eq .Values.tls.source "vault") }}
{{ include "service-lib.vaultCertificate" . }}
{{- end }}
{{- end }}
{{- end }}

{{/* Who the agent is, and what it may not do: {root, role}. */}}
{{- define "service-lib.vaultAgent" -}}
vault.hashicorp.com/agent-inject: "true"
vault.hashicorp.com/role: {{ .role }}
vault.hashicorp.com/auth-path: {{ .root.Values.vault.authPath }}
vault.hashicorp.com/agent-service-account-token-volume-name: vault-token
vault.hashicorp.com/agent-run-as-user: "65532"
vault.hashicorp.com/agent-run-as-group: "65532"
vault.hashicorp.com/agent-set-security-context: "true"
vault.hashicorp.com/agent-requests-cpu: 10m
vault.hashicorp.com/agent-requests-mem: 64Mi
vault.hashicorp.com/agent-limits-cpu: 250m
vault.hashicorp.com/agent-limits-mem: 128Mi
{{- end }}

{{/* One secret: {root, name, secret: {path, template, folder}}. */}}
{{- define "service-lib.vaultSecret" -}}
{{- $id := .name | replace "_" "-" }}
{{- $path := .secret.path -}}
vault.hashicorp.com/agent-inject-secret-{{ $id }}: {{ $path }}
vault.hashicorp.com/agent-inject-perms-{{ $id }}: "0400"
{{- if .secret.folder }}
vault.hashicorp.com/agent-inject-file-{{ $id }}: .complete
vault.hashicorp.com/secret-volume-path-{{ $id }}: /vault/{{ .name }}
vault.hashicorp.com/agent-inject-template-{{ $id }}: |
  {{ printf "{{- with secret %q }}{{ range $file, $text := .Data.data }}{{ $text | writeToFile (printf \"/vault/%s/%%s\" $file) \"\" \"\" \"0400\" }}{{ end }}{{ end -}}" $path .name }}
{{- else }}
vault.hashicorp.com/agent-inject-file-{{ $id }}: {{ .name }}
vault.hashicorp.com/agent-inject-template-{{ $id }}: |
  {{ printf "{{- with secret %q -}}%s{{- end -}}" $path (include "service-lib.vaultTemplate" .) }}
{{- end }}
{{- end }}

{{/* The template with the addresses of the stores in place of ${postgres} and its like, the file of
     their authorities in place of ${ca}. */}}
{{- define "service-lib.vaultTemplate" -}}
{{- $text := .secret.template }}
{{- range $store, $at := .root.Values.stores }}
{{- $text = $text | replace (printf "${%s}" $store) (printf "%s:%v" $at.host $at.port) }}
{{- end }}
{{- $text | replace "${ca}" "/etc/souk/stores/ca.crt" }}
{{- end }}

{{/* The certificate, its key and the authority, which belong together: one template writes all, and keeps
     all in a file of its own, from which the sidecar's agent knows what the init container's has fetched. */}}
{{- define "service-lib.vaultCertificate" -}}
{{- $path := .Values.tls.vault.path | default (printf "pki/issue/souk-%s" .Chart.Name) }}
{{- $alternatives := include "service-lib.dnsNames" . | fromYamlArray | join "," }}
{{- $issue := printf "pkiCert %q %q %q %q %q" $path (printf "common_name=%s" .Chart.Name) (printf "alt_names=%s" $alternatives) (printf "uri_sans=spiffe://souk/%s" .Chart.Name) (printf "ttl=%s" .Values.tls.vault.ttl) -}}
vault.hashicorp.com/agent-inject-secret-tls: {{ $path }}
vault.hashicorp.com/agent-inject-file-tls: tls.pem
vault.hashicorp.com/agent-inject-perms-tls: "0400"
vault.hashicorp.com/agent-inject-template-tls: |
  {{ printf "{{- with %s -}}{{ .Key | writeToFile \"/vault/secrets/tls.key\" \"\" \"\" \"0400\" }}{{ .CA | writeToFile \"/vault/secrets/ca.crt\" \"\" \"\" \"0400\" }}{{ .Cert | writeToFile \"/vault/secrets/tls.crt\" \"\" \"\" \"0400\" }}{{ .Key }}{{ .CA }}{{ .Cert }}{{- end -}}" $issue }}
{{- end }}

{{/* The names by which others reach the service, and it itself. */}}
{{- define "service-lib.dnsNames" -}}
- {{ .Chart.Name }}
- {{ .Chart.Name }}.{{ .Release.Namespace }}.svc
- {{ .Chart.Name }}.{{ .Release.Namespace }}.svc.cluster.local
- localhost
{{- end }}
