{{- define "exporter.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "exporter.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "exporter.labels" -}}
{{ include "exporter.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* Text if there is a PostgreSQL, or a group, or a standby; empty if not. */ -}}
{{- define "exporter.postgresql" -}}{{ .Values.store.secret.name }}{{- end -}}
{{- define "exporter.group" -}}{{ join "," .Values.kafka.brokers }}{{- end -}}
{{- define "exporter.replicas" -}}
{{- if kindIs "invalid" .Values.replicas -}}
{{- ternary 2 1 (ne "" (include "exporter.postgresql" .)) -}}
{{- else -}}
{{- .Values.replicas -}}
{{- end -}}
{{- end -}}
{{- define "exporter.standby" -}}
{{- if gt (int (include "exporter.replicas" .)) 1 -}}true{{- end -}}
{{- end -}}

{{- /* Mistakes that a schema cannot explain. */ -}}
{{- define "exporter.check" -}}
{{- if not .Values.image.repository -}}
{{- fail "image.repository is missing: build the image (docker build --target full -f exporter/Dockerfile .), push it to your registry and name it here" -}}
{{- end -}}
{{- if not .Values.mlflow.trackingUri -}}
{{- fail "mlflow.trackingUri is missing: the address of the MLflow whose models are monitored" -}}
{{- end -}}
{{- if not (include "exporter.postgresql" .) -}}
{{- if include "exporter.group" . -}}
{{- fail "kafka.brokers needs a store in PostgreSQL, which evaluators and workers share: set store.secret.name" -}}
{{- end -}}
{{- if include "exporter.standby" . -}}
{{- fail (printf "replicas: %v needs a store in PostgreSQL, since a standby takes over from it: set store.secret.name, or replicas to 1" .Values.replicas) -}}
{{- end -}}
{{- end -}}
{{- range $name, $_ := .Values.settings -}}
{{- if has $name (list "EXPORTER_ROLE" "EXPORTER_INGEST" "EXPORTER_STORE" "EXPORTER_KAFKA_BROKERS" "EXPORTER_KAFKA_TOPIC" "EXPORTER_KAFKA_GROUP" "EXPORTER_KAFKA_CONFIG_FILE" "EXPORTER_LEASE_SECONDS" "EXPORTER_CONFIG" "EXPORTER_API_TOKENS_FILE" "EXPORTER_AUDIT_KEY_FILE" "EXPORTER_ALLOWED_HOSTS" "EXPORTER_HOST" "EXPORTER_PORT" "EXPORTER_GRAFANA_URL" "EXPORTER_MLFLOW_URL" "EXPORTER_EXTERNAL_URL") -}}
{{- fail (printf "settings.%s is set by the chart itself, from another value: see its README" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
