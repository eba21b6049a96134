{{/* `helm test`: asks the service over the network whether it serves. */}}
{{- define "service-lib.test" -}}
{{- if .Values.grpc.port }}
---
apiVersion: v1
kind: Pod
metadata:
  name: {{ .Chart.Name }}-test
  labels: {{- merge (include "service-lib.testSelector" . | fromYaml) (include "service-lib.labels" . | fromYaml) | toYaml | nindent 4 }}
  annotations:
    helm.sh/hook: test
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  enableServiceLinks: false
  securityContext: {{- include "service-lib.podSecurityContext" . | trim | nindent 4 }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: probe
      image: {{ include "service-lib.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      command: [python3, -m, services.mesh.probe, "{{ .Chart.Name }}:{{ .Values.probe.port }}"]
      resources:
        requests: {cpu: 10m, memory: 64Mi}
        limits: {cpu: 500m, memory: 128Mi}
      securityContext: {{- include "service-lib.containerSecurityContext" . | trim | nindent 8 }}
{{- if .Values.networkPolicy.enabled }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ .Chart.Name }}-test
  labels: {{- merge (include "service-lib.testSelector" . | fromYaml) (include "service-lib.labels" . | fromYaml) | toYaml | nindent 4 }}
  annotations:
    helm.sh/hook: test
    helm.sh/hook-weight: "-10"
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  podSelector:
    matchLabels: {{- include "service-lib.testSelector" . | trim | nindent 6 }}
  policyTypes: [Ingress, Egress]
  egress:
    {{- include "service-lib.egressDns" . | trim | nindent 4 }}
    - to:
        - podSelector:
            matchLabels: {{- include "service-lib.selector" . | trim | nindent 14 }}
      ports: [{port: probe}]
{{- end }}
{{- end }}
{{- end }}

{{- define "service-lib.testSelector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/component: test
{{- end }}
