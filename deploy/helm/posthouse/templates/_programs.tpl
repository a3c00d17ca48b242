{{/* What is particular to a program: (dict "root" $ "program" {...}) gives JSON. */}}

{{/* Its ports, but for the health port: name, containerPort, port of the Service. */}}
{{- define "posthouse.ports" -}}
{{- $ports := list }}
{{- if eq .name "ingest" }}
{{- range $name, $l := .program.listeners }}{{ if $l.enabled }}
{{- $ports = append $ports (dict "name" $name "containerPort" $l.containerPort "port" $l.port) }}
{{- end }}{{ end }}
{{- else if eq .name "bounces" }}
{{- $ports = append $ports (dict "name" "smtp" "containerPort" 2526 "port" 25) }}
{{- else if eq .name "tracking" }}
{{- $ports = append $ports (dict "name" "http" "containerPort" 2581 "port" 80) }}
{{- if .program.certificates.existingSecret }}
{{- $ports = append $ports (dict "name" "https" "containerPort" 2583 "port" 443) }}
{{- end }}
{{- else if eq .name "console" }}
{{- if .program.tls.existingSecret }}
{{- $ports = append $ports (dict "name" "https" "containerPort" 2582 "port" 443) }}
{{- else }}
{{- $ports = append $ports (dict "name" "http" "containerPort" 2582 "port" 80) }}
{{- end }}
{{- end }}
{{- $ports | toJson -}}
{{- end }}

{{/* Its variables, beside the common ones. */}}
{{- define "posthouse.environment" -}}
{{- $e := dict "POSTHOUSE_GRACE_SECONDS" .program.graceSeconds "POSTHOUSE_HEALTH_LISTEN" "0.0.0.0:9180" }}
{{- with .root.Values.traces }}{{ if .endpoint }}
{{- $_ := set $e "POSTHOUSE_TRACES_ENDPOINT" .endpoint }}
{{- $_ := set $e "POSTHOUSE_TRACES_RATIO" .ratio }}
{{- end }}{{ end }}
{{- $dkim := .root.Values.relayDkim }}
{{- if and $dkim.domain (has .name (list "ingest" "policy")) }}
{{- $_ := set $e "POSTHOUSE_RELAY_DKIM_DOMAIN" $dkim.domain }}
{{- end }}
{{- if eq .name "ingest" }}
{{- $_ := set $e "POSTHOUSE_INGEST_LISTENERS" (include "posthouse.listeners" .program) }}
{{- $_ := set $e "POSTHOUSE_INGEST_TLS_CERTIFICATE" "/etc/posthouse/tls/tls.crt" }}
{{- $_ := set $e "POSTHOUSE_INGEST_TLS_KEY" "/etc/posthouse/tls/tls.key" }}
{{- else if eq .name "policy" }}
{{- with .root.Values.tracking.url }}{{ $_ := set $e "POSTHOUSE_TRACKING_URL" . }}{{ end }}
{{- if $dkim.existingSecret }}
{{- $_ := set $e "POSTHOUSE_RELAY_DKIM_KEY_FILE" "/etc/posthouse/relay-dkim/value" }}
{{- $_ := set $e "POSTHOUSE_RELAY_DKIM_SELECTOR" $dkim.selector }}
{{- end }}
{{- else if eq .name "bounces" }}
{{- $_ := set $e "POSTHOUSE_BOUNCES_LISTEN" "0.0.0.0:2526" }}
{{- with .program.proxyNetworks }}{{ $_ := set $e "POSTHOUSE_BOUNCES_PROXIES" (join "," .) }}{{ end }}
{{- $_ := set $e "POSTHOUSE_BOUNCES_TLS_CERTIFICATE" "/etc/posthouse/tls/tls.crt" }}
{{- $_ := set $e "POSTHOUSE_BOUNCES_TLS_KEY" "/etc/posthouse/tls/tls.key" }}
{{- else if eq .name "tracking" }}
{{- $_ := set $e "POSTHOUSE_TRACKING_LISTEN" "0.0.0.0:2581" }}
{{- with .program.proxyNetworks }}{{ $_ := set $e "POSTHOUSE_TRACKING_PROXIES" (join "," .) }}{{ end }}
{{- if .program.certificates.existingSecret }}
{{- $_ := set $e "POSTHOUSE_TRACKING_HTTPS_LISTEN" "0.0.0.0:2583" }}
{{- $_ := set $e "POSTHOUSE_TRACKING_CERTIFICATES" "/etc/posthouse/certificates" }}
{{- end }}
{{- else if eq .name "console" }}
{{- $_ := set $e "POSTHOUSE_CONSOLE_LISTEN" "0.0.0.0:2582" }}
{{- with .program.proxyNetworks }}{{ $_ := set $e "POSTHOUSE_CONSOLE_PROXIES" (join "," .) }}{{ end }}
{{- if .program.tls.existingSecret }}
{{- $_ := set $e "POSTHOUSE_CONSOLE_TLS_CERTIFICATE" "/etc/posthouse/tls/tls.crt" }}
{{- $_ := set $e "POSTHOUSE_CONSOLE_TLS_KEY" "/etc/posthouse/tls/tls.key" }}
{{- end }}
{{- end }}
{{- $e | toJson -}}
{{- end }}

{{- define "posthouse.listeners" -}}
{{- $proxies := "" }}{{ range .proxyNetworks }}{{ $proxies = printf "%s+proxy=%s" $proxies . }}{{ end }}
{{- $found := list }}
{{- range $name, $l := .listeners }}{{ if $l.enabled }}
{{- $found = append $found (printf "0.0.0.0:%v/%s%s%s" $l.containerPort $l.mode $proxies $l.options) }}
{{- end }}{{ end }}
{{- join "," $found -}}
{{- end }}

{{/* Its Secrets, beside the common ones. */}}
{{- define "posthouse.secrets" -}}
{{- $s := list }}
{{- if has .name (list "ingest" "bounces") }}
{{- $s = append $s (dict "path" "tls" "secret" .root.Values.tls.existingSecret) }}
{{- else if and (eq .name "policy") .root.Values.relayDkim.existingSecret }}
{{- $s = append $s (dict "path" "relay-dkim" "secret" .root.Values.relayDkim.existingSecret "key" .root.Values.relayDkim.key) }}
{{- else if and (eq .name "tracking") .program.certificates.existingSecret }}
{{- $s = append $s (dict "path" "certificates" "secret" .program.certificates.existingSecret) }}
{{- else if and (eq .name "console") .program.tls.existingSecret }}
{{- $s = append $s (dict "path" "tls" "secret" .program.tls.existingSecret) }}
{{- else if and (eq .name "dispatcher") .program.routeSecrets.existingSecret }}
{{- $s = append $s (dict "path" "routes" "secret" .program.routeSecrets.existingSecret) }}
{{- end }}
{{- $s | toJson -}}
{{- end }}
