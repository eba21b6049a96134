{{/* Every object of a service. */}}
{{- define "service-lib.all" -}}
{{- include "service-lib.required" . }}
{{- $parts := list "serviceaccount" "migration" "certificate" "networkpolicy" "service" "deployment" "hpa" "pdb" "servicemonitor" "rules" "test" }}
{{- range $parts }}
{{- with include (printf "service-lib.%s" .) $ | trim }}
---
{{ . }}
{{- end }}
{{- end }}
{{- end }}
