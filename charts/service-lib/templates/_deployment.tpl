{{- define "service-lib.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Chart.Name }}
  labels: {{- include "service-lib.labels" . | trim | nindent 4 }}
spec:
  {{- if not .Values.autoscaling.enabled }}
  replicas: {{ .Values.replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxUnavailable: 0, maxSurge: 1}
  selector:
    matchLabels: {{- include "service-lib.selector" . | trim | nindent 6 }}
  template:
    metadata:
      labels: {{- include "service-lib.labels" . | trim | nindent 8 }}
      {{- with include "service-lib.vault" . }}
      annotations: {{- . | nindent 8 }}
      {{- end }}
    spec:
      serviceAccountName: {{ .Chart.Name }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ include "service-lib.terminationGracePeriod" . }}
      securityContext: {{- include "service-lib.podSecurityContext" . | trim | nindent 8 }}
      {{- with .Values.imagePullSecrets }}
      imagePullSecrets: {{- toYaml . | nindent 8 }}
      {{- end }}
      topologySpreadConstraints: {{- include "service-lib.spread" . | trim | nindent 8 }}
      containers:
        - name: {{ .Chart.Name }}
          image: {{ include "service-lib.image" . }}
          imagePullPolicy: {{ .Values.image.pullPolicy }}
          {{- with include "service-lib.args" . | trim }}
          args: {{- . | nindent 12 }}
          {{- end }}
          env: {{- include "service-lib.env" . | trim | nindent 12 }}
          ports: {{- include "service-lib.containerPorts" . | trim | nindent 12 }}
          {{- include "service-lib.probes" . | trim | nindent 10 }}
          lifecycle:
            preStop:
              sleep: {seconds: {{ .Values.drain.preStopSeconds }}}
          resources: {{- toYaml .Values.resources | nindent 12 }}
          securityContext: {{- include "service-lib.containerSecurityContext" . | trim | nindent 12 }}
          volumeMounts: {{- include "service-lib.volumeMounts" . | trim | nindent 12 }}
      volumes: {{- include "service-lib.volumes" . | trim | nindent 8 }}
{{- end }}

{{/* preStop, the drain, and fifteen seconds for workers and pools to end; then comes SIGKILL. */}}
{{- define "service-lib.terminationGracePeriod" -}}
{{- add .Values.drain.preStopSeconds .Values.drain.waitSeconds .Values.drain.graceSeconds 15 }}
{{- end }}

{{/* Over zones and nodes, of one version at a time; a cluster with one of them runs all the same. */}}
{{- define "service-lib.spread" -}}
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{- include "service-lib.selector" $ | trim | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}

{{/* What the image's entry point is told; the gateway is told by arguments where the services are. */}}
{{- define "service-lib.args" -}}
{{- if .Values.grpc.port }}
- serve
{{- end }}
{{- range $service, $address := (include "service-lib.mesh" . | fromYaml).upstreams }}
- --upstream={{ $service }}={{ $address }}
{{- end }}
{{- if and .Values.grpc.port .Values.http.port }}
- --listen=0.0.0.0:{{ .Values.http.port }}
- --upstream-ca={{ include "service-lib.tlsFolder" . }}/ca.crt
- --upstream-cert={{ include "service-lib.tlsFolder" . }}/tls.crt
- --upstream-key={{ include "service-lib.tlsFolder" . }}/tls.key
{{- end }}
{{- range .Values.args }}
- {{ . | quote }}
{{- end }}
{{- end }}
