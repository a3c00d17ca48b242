{{/*
The Pod of a program: (dict "root" $ "name" "ingest" "program" {...} "environment" {...} "ports" [...]
"secrets" [...] "args" [...] "labels" {...}).

"secrets" are dicts of path, secret and maybe key: mounted at /etc/posthouse/PATH; with a key, that
key alone, as the file "value".
*/}}
{{- define "posthouse.pod" -}}
{{- $root := .root }}{{ $program := .program }}
metadata:
  labels:
    {{- include "posthouse.labels" $root | nindent 4 }}
    {{- toYaml .labels | nindent 4 }}
    {{- with $program.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- with $program.podAnnotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- if not .hook }}
  serviceAccountName: {{ include "posthouse.serviceAccountName" $root }}
  {{- end }}
  automountServiceAccountToken: false
  # Variables of Services are no settings of ours.
  enableServiceLinks: false
  {{- if .hostNetwork }}
  hostNetwork: true
  dnsPolicy: ClusterFirstWithHostNet
  {{- end }}
  {{- with .restartPolicy }}
  restartPolicy: {{ . }}
  {{- end }}
  {{- if not .once }}
  terminationGracePeriodSeconds: {{ add $program.preStopSeconds $program.graceSeconds 15 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
  {{- with $root.Values.image.pullSecrets }}
  imagePullSecrets: {{- range . }}
    - name: {{ . }}
  {{- end }}
  {{- end }}
  {{- with $program.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $program.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $program.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $program.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if $program.topologySpread }}
  topologySpreadConstraints:
    {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - topologyKey: {{ . }}
      maxSkew: 1
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "posthouse.releaseSelector" $root | nindent 10 }}
          app.kubernetes.io/component: {{ $.name }}
    {{- end }}
  {{- end }}
  containers:
    - name: posthouse
      image: {{ include "posthouse.image" $root }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      args: {{- toYaml .args | nindent 8 }}
      env:
        {{- range $name, $value := .environment }}
        - name: {{ $name }}
          value: {{ include "posthouse.text" $value | quote }}
        {{- end }}
        {{- with $program.extraEnv }}{{ toYaml . | nindent 8 }}{{ end }}
      securityContext:
        runAsNonRoot: true
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
        seccompProfile: {type: RuntimeDefault}
      resources: {{- toYaml $program.resources | nindent 8 }}
      {{- if not .once }}
      ports:
        {{- range .ports }}
        - name: {{ .name }}
          containerPort: {{ .containerPort }}
        {{- end }}
        - name: health
          containerPort: {{ .healthPort }}
      # A minute for the schema, which the program itself waits for, and as much to start.
      startupProbe:
        httpGet: {path: /healthz/live, port: health}
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: 60
      livenessProbe:
        httpGet: {path: /healthz/live, port: health}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /healthz/ready, port: health}
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: 2
      {{- if $program.preStopSeconds }}
      lifecycle:
        preStop:
          sleep: {seconds: {{ $program.preStopSeconds }}}
      {{- end }}
      {{- end }}
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        {{- range .secrets }}
        - name: {{ .path }}
          mountPath: /etc/posthouse/{{ .path }}
          readOnly: true
        {{- end }}
        {{- with $program.extraVolumeMounts }}{{ toYaml . | nindent 8 }}{{ end }}
  volumes:
    - name: tmp
      emptyDir: {sizeLimit: 64Mi}
    {{- range .secrets }}
    - name: {{ .path }}
      secret:
        secretName: {{ .secret }}
        defaultMode: 0440
        {{- with .key }}
        items:
          - key: {{ . }}
            path: value
        {{- end }}
    {{- end }}
    {{- with $program.extraVolumes }}{{ toYaml . | nindent 4 }}{{ end }}
{{- end }}

{{/* Secrets that every program reads, as a JSON list. */}}
{{- define "posthouse.commonSecrets" -}}
{{- $database := splitList " " (include "posthouse.databaseSecret" .) }}
{{- $broker := splitList " " (include "posthouse.brokerSecret" .) }}
{{- list
      (dict "path" "database" "secret" (index $database 0) "key" (index $database 1))
      (dict "path" "broker" "secret" (index $broker 0) "key" (index $broker 1))
      (dict "path" "secret-key" "secret" .Values.secretKey.existingSecret "key" .Values.secretKey.key)
    | toJson -}}
{{- end }}

{{/* Variables that every program has, as JSON. */}}
{{- define "posthouse.commonEnvironment" -}}
{{- dict
      "POSTHOUSE_DATABASE_URL_FILE" "/etc/posthouse/database/value"
      "POSTHOUSE_BROKER_URL_FILE" "/etc/posthouse/broker/value"
      "POSTHOUSE_SECRET_KEY_FILE" "/etc/posthouse/secret-key/value"
      "POSTHOUSE_HOSTNAME" .Values.hostname
      "POSTHOUSE_DATA" "/tmp"
    | toJson -}}
{{- end }}
