{{- /* Variables of a container of a role, from (list . role). */ -}}
{{- define "exporter.environment" -}}
{{- $ := index . 0 -}}
{{- $role := index . 1 -}}
{{- $name := include "exporter.name" $ -}}
- {name: EXPORTER_HOST, value: "0.0.0.0"}
- {name: EXPORTER_ROLE, value: {{ $role }}}
{{- if include "exporter.postgresql" $ }}
- name: EXPORTER_STORE
  valueFrom:
    secretKeyRef: {name: {{ $.Values.store.secret.name }}, key: {{ $.Values.store.secret.key }}}
- {name: EXPORTER_LEASE_SECONDS, value: {{ $.Values.leaseSeconds | quote }}}
{{- end }}
{{- if include "exporter.group" $ }}
- {name: EXPORTER_KAFKA_BROKERS, value: {{ include "exporter.group" $ | quote }}}
- {name: EXPORTER_KAFKA_TOPIC, value: {{ $.Values.kafka.topic | quote }}}
- {name: EXPORTER_KAFKA_GROUP, value: {{ $.Values.kafka.group | quote }}}
- {name: EXPORTER_INGEST, value: {{ ternary "kafka" "store" $.Values.kafka.http }}}
{{- if $.Values.kafka.secret.name }}
- {name: EXPORTER_KAFKA_CONFIG_FILE, value: /etc/kafka/{{ $.Values.kafka.secret.key }}}
{{- end }}
{{- end }}
{{- if $.Values.config }}
- {name: EXPORTER_CONFIG, value: /etc/mlflow-exporter/exporter.yml}
{{- end }}
{{- if $.Values.tokens.secret.name }}
- {name: EXPORTER_API_TOKENS_FILE, value: /etc/tokens/{{ $.Values.tokens.secret.key }}}
{{- end }}
{{- if $.Values.auditKey.secret.name }}
- {name: EXPORTER_AUDIT_KEY_FILE, value: /etc/audit-key/{{ $.Values.auditKey.secret.key }}}
{{- end }}
# Names of the Services, by which clients without a token may ask.
- name: EXPORTER_ALLOWED_HOSTS
  value: {{ $name }},{{ $name }}.*,{{ $name }}-workers,{{ $name }}-workers.*
- {name: EXPORTER_EXTERNAL_URL, value: {{ $.Values.urls.exporter | quote }}}
- {name: EXPORTER_GRAFANA_URL, value: {{ $.Values.urls.grafana | quote }}}
- {name: EXPORTER_MLFLOW_URL, value: {{ $.Values.urls.mlflow | quote }}}
- {name: MLFLOW_TRACKING_URI, value: {{ $.Values.mlflow.trackingUri | quote }}}
{{- range $variable, $value := $.Values.settings }}
- {name: {{ $variable }}, value: {{ $value | quote }}}
{{- end }}
{{- with $.Values.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* The container of a role, from (list . role resources readiness). */ -}}
{{- define "exporter.container" -}}
{{- $ := index . 0 -}}
name: exporter
image: {{ include "exporter.image" $ }}
imagePullPolicy: {{ $.Values.image.pullPolicy }}
args: [serve]
env:
  {{- include "exporter.environment" (list $ (index . 1)) | nindent 2 }}
{{- if or $.Values.mlflow.secret $.Values.envFrom }}
envFrom:
  {{- with $.Values.mlflow.secret }}
  - secretRef: {name: {{ . }}}
  {{- end }}
  {{- with $.Values.envFrom }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
ports:
  - {name: http, containerPort: 19464}
# Until it listens: after a longer start, of a large SQLite store or a migration, it would be killed in the midst.
startupProbe:
  httpGet: {path: /-/healthy, port: http}
  periodSeconds: 2
  failureThreshold: 300
livenessProbe:
  httpGet: {path: /-/healthy, port: http}
  periodSeconds: 15
  timeoutSeconds: 5
  failureThreshold: 4
readinessProbe:
  httpGet: {path: {{ index . 3 }}, port: http}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 3
resources:
  {{- toYaml (index . 2) | nindent 2 }}
securityContext:
  {{- include "exporter.confinement" . | nindent 2 }}
volumeMounts:
  - {name: temporary, mountPath: /tmp}
  - {name: data, mountPath: /data}
  {{- if $.Values.config }}
  - {name: config, mountPath: /etc/mlflow-exporter, readOnly: true}
  {{- end }}
  {{- if and (include "exporter.group" $) $.Values.kafka.secret.name }}
  - {name: kafka, mountPath: /etc/kafka, readOnly: true}
  {{- end }}
  {{- if $.Values.tokens.secret.name }}
  - {name: tokens, mountPath: /etc/tokens, readOnly: true}
  {{- end }}
  {{- if $.Values.auditKey.secret.name }}
  - {name: audit-key, mountPath: /etc/audit-key, readOnly: true}
  {{- end }}
{{- end -}}

{{- define "exporter.image" -}}
{{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
{{- end -}}

{{- define "exporter.confinement" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- /* What is alike in the pods of all roles, from (list . component). */ -}}
{{- define "exporter.pod" -}}
{{- $ := index . 0 -}}
serviceAccountName: {{ include "exporter.name" $ }}
automountServiceAccountToken: false
enableServiceLinks: false # variables EXPORTER_*, which are settings here
terminationGracePeriodSeconds: 60
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with $.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - {name: {{ . }}}
  {{- end }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "exporter.selector" $ | nindent 8 }}
        app.kubernetes.io/component: {{ index . 1 }}
{{- with $.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "exporter.volumes" -}}
- name: temporary
  emptyDir: {sizeLimit: {{ .Values.temporary }}}
{{- if .Values.config }}
- name: config
  configMap: {name: {{ include "exporter.name" . }}}
{{- end }}
{{- if and (include "exporter.group" .) .Values.kafka.secret.name }}
- name: kafka
  secret: {secretName: {{ .Values.kafka.secret.name }}, defaultMode: 0440}
{{- end }}
{{- if .Values.tokens.secret.name }}
- name: tokens
  secret: {secretName: {{ .Values.tokens.secret.name }}, defaultMode: 0440}
{{- end }}
{{- if .Values.auditKey.secret.name }}
- name: audit-key
  secret: {secretName: {{ .Values.auditKey.secret.name }}, defaultMode: 0440}
{{- end }}
{{- end -}}

{{- define "exporter.podMetadata" -}}
{{- $ := index . 0 -}}
labels:
  {{- include "exporter.selector" $ | nindent 2 }}
  app.kubernetes.io/component: {{ index . 1 }}
  {{- with $.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  checksum/config: {{ toYaml $.Values.config | sha256sum }}
  {{- with $.Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
