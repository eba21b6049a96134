{{/* Headless where callers spread their calls themselves: they need every pod's address. */}}
{{- define "service-lib.service" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ .Chart.Name }}
  labels: {{- include "service-lib.labels" . | trim | nindent 4 }}
spec:
  {{- if not .Values.http.port }}
  clusterIP: None
  {{- end }}
  selector: {{- include "service-lib.selector" . | trim | nindent 4 }}
  ports:
    {{- range $name, $port := include "service-lib.ports" . | fromYaml }}
    - {name: {{ $name }}, port: {{ $port }}, targetPort: {{ $name }}}
    {{- end }}
{{- end }}
