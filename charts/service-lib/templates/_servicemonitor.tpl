{{- define "service-lib.servicemonitor" -}}
{{- if and .Values.monitoring.enabled .Values.grpc.port }}
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  name: {{ .Chart.Name }}
  labels: {{- merge (deepCopy .Values.monitoring.labels) (include "service-lib.labels" . | fromYaml) | toYaml | nindent 4 }}
spec:
  selector:
    matchLabels: {{- include "service-lib.selector" . | trim | nindent 6 }}
  jobLabel: app.kubernetes.io/name
  endpoints:
    - port: metrics
      interval: {{ .Values.monitoring.scrapeInterval }}
{{- end }}
{{- end }}
