{{/* Brings the store to the present schema before pods of this version start.

     pre-install, pre-upgrade   -10  ServiceAccount, NetworkPolicy     (Argo CD: PreSync)
                                  0  Job
*/}}
{{- define "service-lib.migration" -}}
{{- if .Values.migration.enabled }}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{- include "service-lib.migrationMetadata" (dict "root" . "weight" "-10") | trim | nindent 2 }}
automountServiceAccountToken: false
{{- if .Values.networkPolicy.enabled }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{- include "service-lib.migrationMetadata" (dict "root" . "weight" "-10") | trim | nindent 2 }}
spec:
  podSelector:
    matchLabels: {{- include "service-lib.migrationSelector" . | trim | nindent 6 }}
  policyTypes: [Ingress, Egress]
  egress:
    {{- include "service-lib.egressDns" . | trim | nindent 4 }}
    {{- include "service-lib.egressStore" (dict "root" . "store" "postgres") | trim | nindent 4 }}
    {{- include "service-lib.egressVault" . | trim | nindent 4 }}
{{- end }}
---
apiVersion: batch/v1
kind: Job
metadata: {{- include "service-lib.migrationMetadata" (dict "root" . "weight" "0") | trim | nindent 2 }}
spec:
  backoffLimit: 3
  activeDeadlineSeconds: {{ .Values.migration.timeoutSeconds }}
  ttlSecondsAfterFinished: 86400
  template:
    metadata:
      labels: {{- include "service-lib.migrationSelector" . | trim | nindent 8 }}
      {{- with include "service-lib.migrationVault" . }}
      annotations: {{- . | nindent 8 }}
      {{- end }}
    spec:
      restartPolicy: Never
      serviceAccountName: {{ .Chart.Name }}-migration
      automountServiceAccountToken: false
      enableServiceLinks: false
      securityContext: {{- include "service-lib.podSecurityContext" . | trim | nindent 8 }}
      {{- with .Values.imagePullSecrets }}
      imagePullSecrets: {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: migrate
          image: {{ include "service-lib.image" . }}
          imagePullPolicy: {{ .Values.image.pullPolicy }}
          args: [migrate]
          env: {{- include "service-lib.migrationEnv" . | trim | nindent 12 }}
          resources: {{- toYaml .Values.migration.resources | nindent 12 }}
          securityContext: {{- include "service-lib.containerSecurityContext" . | trim | nindent 12 }}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
            {{- if not .Values.vault.enabled }}
            {{- include "service-lib.secretMounts" .Values.migration.secrets | trim | nindent 12 }}
            {{- end }}
            {{- with include "service-lib.storesCAMount" . | trim }}{{ . | nindent 12 }}{{ end }}
      volumes:
        - name: tmp
          emptyDir: {sizeLimit: 64Mi}
        {{- if .Values.vault.enabled }}
        {{- include "service-lib.vaultToken" . | trim | nindent 8 }}
        {{- else }}
        {{- include "service-lib.secretVolumes" (dict "root" . "secrets" .Values.migration.secrets) | trim | nindent 8 }}
        {{- end }}
        {{- with include "service-lib.storesCAVolume" . | trim }}{{ . | nindent 8 }}{{ end }}
{{- end }}
{{- end }}

{{- define "service-lib.migrationSelector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/component: migration
{{- end }}

{{- define "service-lib.migrationMetadata" -}}
name: {{ .root.Chart.Name }}-migration
labels: {{- merge (include "service-lib.migrationSelector" .root | fromYaml) (include "service-lib.labels" .root | fromYaml) | toYaml | nindent 2 }}
annotations:
  helm.sh/hook: pre-install,pre-upgrade
  helm.sh/hook-weight: {{ .weight | quote }}
  helm.sh/hook-delete-policy: before-hook-creation
{{- end }}

{{- define "service-lib.migrationEnv" -}}
{{- range $name, $secret := .Values.migration.secrets }}
- {name: SOUK_{{ upper $name }}_FILE, value: /vault/secrets/{{ $name }}}
{{- end }}
{{- end }}

{{/* The agent ends with the Job: it only writes the secrets at the start. */}}
{{- define "service-lib.migrationVault" -}}
{{- if .Values.vault.enabled }}
{{- include "service-lib.vaultAgent" (dict "root" . "role" (.Values.migration.role | default (printf "souk-%s-migration" .Chart.Name))) }}
vault.hashicorp.com/agent-pre-populate-only: "true"
{{- range $name, $secret := .Values.migration.secrets }}
{{ include "service-lib.vaultSecret" (dict "root" $ "name" $name "secret" $secret) }}
{{- end }}
{{- end }}
{{- end }}
