{{/*
What scaling follows: work that could be done now. A deferred delivery waits for its time, a parked
one for its site, a held one for the operator: more processes do none of it sooner.

Of deliveries the backlog alone: one that comes due for its third attempt is hours old, and lower
lanes wait for higher ones however many dispatchers there are.
*/}}
{{- define "posthouse.queryOfMetric" -}}
{{- if eq .query "policy-backlog" -}}
sum(max by (lane) (posthouse_queue_messages{stage="policy",state="ready"{{ .selector }}}))
{{- else if eq .query "policy-age" -}}
max(posthouse_queue_oldest_seconds{stage="policy",state="ready"{{ .selector }}})
{{- else if eq .query "webhooks-backlog" -}}
max(posthouse_webhook_backlog_events{state="waiting"{{ .selector }}})
{{- else if eq .query "webhooks-age" -}}
max(posthouse_webhook_backlog_age_seconds{state="waiting"{{ .selector }}})
{{- else if eq .query "dispatcher-backlog" -}}
sum(max by (lane) (posthouse_queue_messages{stage="delivery",state="ready"{{ .selector }}}))
{{- end -}}
{{- end }}

{{- define "posthouse.trigger" -}}
{{- if eq .trigger "prometheus" -}}
- type: prometheus
  metadata:
    serverAddress: {{ .root.Values.autoscaling.prometheus.serverAddress | quote }}
    query: {{ .metric | quote }}
    threshold: {{ int64 .threshold | quote }}
    {{- with .activation }}
    activationThreshold: {{ int64 . | quote }}
    {{- end }}
{{- else -}}
- type: postgresql
  metadata:
    query: {{ .statement | quote }}
    targetQueryValue: {{ int64 .threshold | quote }}
    {{- with .activation }}
    activationTargetQueryValue: {{ int64 . | quote }}
    {{- end }}
  authenticationRef: {name: {{ include "posthouse.fullname" .root }}-database}
{{- end }}
{{- end }}

{{/* The same of the database; each reads no more than it must. Ages count from when work came due. */}}
{{- define "posthouse.statement" -}}
{{- if eq . "policy-backlog" -}}
SELECT count(*) FROM (SELECT FROM due_submissions WHERE NOT held AND due_at <= now() LIMIT 1000000) AS ready
{{- else if eq . "policy-age" -}}
SELECT coalesce(max(extract(epoch FROM now() - first.due_at)), 0) FROM generate_series(1, 5) AS lanes (lane), LATERAL (SELECT due_at FROM due_submissions WHERE lane = lanes.lane AND NOT held AND due_at <= now() ORDER BY due_at LIMIT 1) AS first
{{- else if eq . "webhooks-backlog" -}}
SELECT coalesce(sum(cardinality(ids)), 0) FROM webhook_batches JOIN webhook_endpoints ON webhook_endpoints.id = endpoint_id WHERE due_at <= now() AND paused_at IS NULL AND failing_since IS NULL
{{- else if eq . "webhooks-age" -}}
SELECT coalesce(extract(epoch FROM now() - min(due_at)), 0) FROM webhook_batches JOIN webhook_endpoints ON webhook_endpoints.id = endpoint_id WHERE due_at <= now() AND paused_at IS NULL AND failing_since IS NULL
{{- else if eq . "dispatcher-backlog" -}}
SELECT count(*) FROM (SELECT FROM due_deliveries WHERE parked_at IS NULL AND NOT held AND due_at <= now() LIMIT 1000000) AS ready
{{- end -}}
{{- end }}
