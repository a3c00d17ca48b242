{{/* Names and labels. */}}
{{- define "posthouse.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "posthouse.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "posthouse.name" .) .Release.Name -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name (include "posthouse.name" .) | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "posthouse.releaseSelector" -}}
app.kubernetes.io/name: {{ include "posthouse.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Of an object that belongs to no program. */}}
{{- define "posthouse.labels" -}}
{{ include "posthouse.releaseSelector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: posthouse
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The programs that may run more than once without further thought. */}}
{{- define "posthouse.stateless" -}}
ingest policy bounces tracking webhooks console
{{- end }}

{{/* The block of a program, on top of the defaults: (dict "root" $ "name" "ingest"), as JSON. */}}
{{- define "posthouse.program" -}}
{{- mergeOverwrite (deepCopy .root.Values.defaults) (deepCopy (index .root.Values .name)) | toJson -}}
{{- end }}

{{- define "posthouse.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{ end -}}
{{- end -}}
{{- end }}

{{- define "posthouse.serviceAccountName" -}}
{{ default (include "posthouse.fullname" .) .Values.serviceAccount.name }}
{{- end }}

{{/* The Secrets of database and broker: "NAME KEY". */}}
{{- define "posthouse.databaseSecret" -}}
{{- if .Values.cloudnativePg.enabled -}}
{{ include "posthouse.fullname" . }}-database-app uri
{{- else -}}
{{ .Values.externalDatabase.existingSecret }} {{ .Values.externalDatabase.key }}
{{- end -}}
{{- end }}

{{- define "posthouse.brokerSecret" -}}
{{- if .Values.rabbitmqCluster.enabled -}}
{{ include "posthouse.fullname" . }}-rabbitmq-default-user connection_string
{{- else -}}
{{ .Values.externalRabbitmq.existingSecret }} {{ .Values.externalRabbitmq.key }}
{{- end -}}
{{- end }}

{{/* Resources as text: Kubernetes takes 0.5 of a core as a number, definitions of operators do not. */}}
{{- define "posthouse.quantities" -}}
{{- $texts := dict }}
{{- range $kind, $amounts := . }}
{{- $of := dict }}{{ range $name, $amount := $amounts }}{{ $_ := set $of $name (toString $amount) }}{{ end }}
{{- $_ := set $texts $kind $of }}
{{- end }}
{{- toJson $texts -}}
{{- end }}

{{/* Processes of all pools. */}}
{{- define "posthouse.dispatchers" -}}
{{- $n := 0 }}{{ range .Values.dispatcher.pools }}{{ $n = add $n (default 1 .replicas) }}{{ end }}{{ $n -}}
{{- end }}

{{/* A value of a variable: Helm reads whole numbers as floats, and would write 1e+06. */}}
{{- define "posthouse.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- end }}
