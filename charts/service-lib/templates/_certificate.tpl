{{/* The certificate by cert-manager, with the same names as Vault's. */}}
{{- define "service-lib.certificate" -}}
{{- if and .Values.grpc.port (eq .Values.tls.source "certManager") }}
apiVersion: cert-manager.io/v1
kind: Certificate
metadata:
  name: {{ .Chart.Name }}
  labels: {{- include "service-lib.labels" . | trim | nindent 4 }}
spec:
  secretName: {{ .Chart.Name }}-tls
  issuerRef: {{- toYaml .Values.tls.certManager.issuerRef | nindent 4 }}
  duration: {{ .Values.tls.certManager.duration }}
  renewBefore: {{ .Values.tls.certManager.renewBefore }}
  privateKey:
    algorithm: ECDSA
    size: 256
    encoding: PKCS8
    rotationPolicy: Always
  usages: [digital signature, server auth, client auth]
  uris: [spiffe://souk/{{ .Chart.Name }}]
  dnsNames: {{- include "service-lib.dnsNames" . | trim | nindent 4 }}
  ipAddresses: [127.0.0.1]
{{- end }}
{{- end }}
