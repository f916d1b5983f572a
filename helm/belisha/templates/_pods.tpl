{{/*
The pod of a platform process. Arguments: root, component (its name), role (of the image), values (of the component), account,
args; optional: apiToken, kfp (talks to KFP), env (list), volumes (list), mounts (list), ports (list), probes (map), restartPolicy, tmpSize.
*/}}
{{- define "belisha.podSpec" -}}
{{- if .restartPolicy }}
restartPolicy: {{ .restartPolicy }}
{{- end }}
serviceAccountName: {{ include "belisha.serviceAccountName" (dict "root" .root "account" .account) }}
automountServiceAccountToken: {{ default false .apiToken }}
# Services beside it would otherwise become variables that look like settings.
enableServiceLinks: false
securityContext:
  {{- include "belisha.podSecurityContext" .root | nindent 2 }}
{{- with include "belisha.pullSecrets" .root }}
{{- . }}
{{- end }}
containers:
  - name: {{ .component }}
    image: {{ include "belisha.image" (dict "root" .root "role" .role "image" .values.image) | quote }}
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    command: [belisha]
    args:
      {{- toYaml .args | nindent 6 }}
    env:
      {{- include "belisha.storageEnv" (dict "root" .root) | nindent 6 }}
      - name: BELISHA_NAMESPACE
        value: {{ .root.Release.Namespace }}
      - name: BELISHA_ACTOR
        value: {{ printf "%s/%s/%s" .root.Release.Namespace (include "belisha.fullname" .root) .component | quote }}
      {{- with .root.Values.monitoring.pushgateway }}
      - name: BELISHA_PUSHGATEWAY
        value: {{ . | quote }}
      {{- end }}
      {{- include "belisha.scratchEnv" .root | nindent 6 }}
      {{- if .kfp }}
      - name: BELISHA_RETRAIN_CONFIG
        value: /etc/belisha/retrain/retrain.yaml
      {{- end }}
      {{- with .env }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- with .ports }}
    ports:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with .probes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    resources:
      {{- toYaml .values.resources | nindent 6 }}
    securityContext:
      {{- include "belisha.securityContext" .root | nindent 6 }}
    volumeMounts:
      {{- include "belisha.mounts" . | nindent 6 }}
      {{- if .kfp }}
      - name: retrain
        mountPath: /etc/belisha/retrain
        readOnly: true
      {{- end }}
      {{- if and .kfp .root.Values.kfp.token.projected }}
      - name: kfp-token
        mountPath: /var/run/secrets/kubeflow/pipelines
        readOnly: true
      {{- end }}
      {{- with .mounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
volumes:
  {{- include "belisha.volumes" . | nindent 2 }}
  {{- if .kfp }}
  - name: retrain
    configMap:
      name: {{ include "belisha.fullname" .root }}-retrain
  {{- end }}
  {{- if and .kfp .root.Values.kfp.token.projected }}
  - name: kfp-token
    projected:
      sources:
        - serviceAccountToken:
            path: token
            audience: {{ .root.Values.kfp.token.audience }}
            expirationSeconds: {{ .root.Values.kfp.token.expirationSeconds | int64 }}
  {{- end }}
  {{- with .volumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with include "belisha.placement" .values }}
{{- . }}
{{- end }}
{{- end -}}

{{/* A CronJob that never runs twice at once and never for ever. Arguments as above, and: name (suffix). */}}
{{- define "belisha.cronJob" -}}
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {{ include "belisha.fullname" .root }}-{{ .component }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "belisha.labels" . | nindent 4 }}
spec:
  schedule: {{ .values.schedule | quote }}
  timeZone: {{ .values.timeZone | quote }}
  suspend: {{ .values.suspend }}
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: {{ .values.startingDeadlineSeconds | int64 }}
  successfulJobsHistoryLimit: {{ .values.successfulJobsHistoryLimit | int64 }}
  failedJobsHistoryLimit: {{ .values.failedJobsHistoryLimit | int64 }}
  jobTemplate:
    metadata:
      labels:
        {{- include "belisha.selectorLabels" . | nindent 8 }}
    spec:
      backoffLimit: {{ .values.backoffLimit | int64 }}
      activeDeadlineSeconds: {{ .values.activeDeadlineSeconds | int64 }}
      ttlSecondsAfterFinished: {{ .values.ttlSecondsAfterFinished | int64 }}
      template:
        metadata:
          labels:
            {{- include "belisha.selectorLabels" . | nindent 12 }}
        spec:
          {{- include "belisha.podSpec" (merge (dict "restartPolicy" "Never") .) | nindent 10 }}
{{- end -}}
