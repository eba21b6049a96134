{{/* Default deny; the edges are those of the contracts (derived/mesh.yaml). */}}
{{- define "service-lib.networkpolicy" -}}
{{- if .Values.networkPolicy.enabled }}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ .Chart.Name }}
  labels: {{- include "service-lib.labels" . | trim | nindent 4 }}
spec:
  podSelector:
    matchLabels: {{- include "service-lib.selector" . | trim | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress: {{- include "service-lib.ingress" . | trim | nindent 4 }}
  egress: {{- include "service-lib.egress" . | trim | nindent 4 }}
{{- end }}
{{- end }}

{{- define "service-lib.ingress" -}}
{{- $mesh := include "service-lib.mesh" . | fromYaml }}
{{- $namespaces := .Values.networkPolicy.namespaces }}
{{- if .Values.grpc.port }}
{{- if or $mesh.callers $mesh.facesPeople }}
- from:
    {{- range $mesh.callers }}
    - podSelector: {matchLabels: {app.kubernetes.io/name: {{ . }}, app.kubernetes.io/component: service}}
    {{- end }}
    {{- if $mesh.facesPeople }}
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: {{ $namespaces.kong }}}}
    {{- end }}
  ports: [{port: grpc}]
{{- end }}
{{- if .Values.http.port }}
- from:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: {{ $namespaces.kong }}}}
  ports: [{port: http}]
{{- end }}
- from:
    - podSelector: {matchLabels: {app.kubernetes.io/name: {{ .Chart.Name }}, app.kubernetes.io/component: test}}
  ports: [{port: probe}]
- from:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: {{ $namespaces.monitoring }}}}
  ports: [{port: metrics}]
{{- end }}
{{- with .Values.networkPolicy.ingress }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "service-lib.egress" -}}
{{- $mesh := include "service-lib.mesh" . | fromYaml }}
{{- include "service-lib.egressDns" . }}
{{- with $mesh.callees }}
- to:
    {{- range . }}
    - podSelector: {matchLabels: {app.kubernetes.io/name: {{ . }}, app.kubernetes.io/component: service}}
    {{- end }}
  ports: [{port: grpc}]
{{- end }}
{{- range $mesh.stores }}
{{ include "service-lib.egressStore" (dict "root" $ "store" .) }}
{{- end }}
{{- include "service-lib.egressVault" . }}
{{- if and .Values.grpc.port .Values.monitoring.otlpEndpoint }}
- to:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: {{ .Values.networkPolicy.namespaces.monitoring }}}}
  ports: [{port: {{ (urlParse .Values.monitoring.otlpEndpoint).host | splitList ":" | last }}}]
{{- end }}
{{- if .Values.aws.roleArn }}
- to: {{- toYaml .Values.aws.peers | nindent 4 }}
  ports: [{port: 443}]
{{- end }}
{{- with .Values.networkPolicy.egress }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "service-lib.egressDns" -}}
- to:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: {{ .Values.networkPolicy.namespaces.dns }}}}
      podSelector: {matchLabels: {k8s-app: kube-dns}}
  ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
{{- end }}

{{- define "service-lib.egressStore" -}}
{{- $at := get .root.Values.stores .store -}}
- to: {{- toYaml $at.peers | nindent 4 }}
  ports: [{port: {{ $at.port }}}]
{{- end }}

{{- define "service-lib.egressVault" -}}
{{- if .Values.vault.enabled }}
- to:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: {{ .Values.networkPolicy.namespaces.vault }}}}
  ports: [{port: 8200}]
{{- end }}
{{- end }}
