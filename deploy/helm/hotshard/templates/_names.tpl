{{- define "hotshard.name" -}}
{{- if contains "hotshard" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-hotshard" (.Release.Name | trunc 41 | trimSuffix "-") }}{{ end }}
{{- end }}

{{- define "hotshard.account" -}}
{{- default (ternary (include "hotshard.name" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{- define "hotshard.secret" -}}
{{- with .Values.password }}{{ if .existing }}{{ .existing }}{{ else if .value }}{{ include "hotshard.name" $ }}-password{{ end }}{{ end }}
{{- end }}

{{- define "hotshard.selector" -}}
app.kubernetes.io/name: hotshard
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "hotshard.meta" -}}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "hotshard.selector" . | nindent 2 }}
  app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ .Release.Service }}
  helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "hotshard.config" -}}
{{- $config := deepCopy .Values.config }}
{{- if include "hotshard.secret" . }}
{{- $auth := default (dict) $config.auth }}
{{- $_ := set $config "auth" (merge $auth (dict "password_file" "/run/secrets/hotshard/password")) }}
{{- end }}
{{- if .Values.persistence.enabled }}
{{- $archive := default (dict) $config.archive }}
{{- $_ := set $config "archive" (merge $archive (dict "path" "/data/hotshard.db")) }}
{{- end }}
{{- toToml $config }}
{{- end }}
