{{/* Name of the release's objects and of the SeldonDeployment. */}}
{{- define "belisha.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}{{ .Release.Name }}{{- else -}}{{ printf "%s-%s" .Release.Name $name }}{{- end -}}
{{- end -}}
{{- end -}}

{{/* What a selector may use: it never changes. Arguments: root, component. */}}
{{- define "belisha.selectorLabels" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of an object. Arguments: root, component. */}}
{{- define "belisha.labels" -}}
{{ include "belisha.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: belisha
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- with .root.Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Reference of an image; a digest goes before a tag. Arguments: root, role, image. */}}
{{- define "belisha.image" -}}
{{- $common := .root.Values.image -}}
{{- $repository := default (printf "%s/%s" $common.prefix .role) .image.repository -}}
{{- if and $common.registry (not .image.repository) -}}{{- $repository = printf "%s/%s" $common.registry $repository -}}{{- end -}}
{{- if .image.digest -}}
{{ $repository }}@{{ .image.digest }}
{{- else -}}
{{ $repository }}:{{ coalesce .image.tag $common.tag .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* Name of a service account. Arguments: root, account (controller, serving, jobs). */}}
{{- define "belisha.serviceAccountName" -}}
{{- $account := index .root.Values.serviceAccounts .account -}}
{{- if $account.name -}}{{ $account.name }}
{{- else if $account.create -}}{{ include "belisha.fullname" .root }}-{{ .account }}
{{- else -}}default
{{- end -}}
{{- end -}}

{{/* Security of a pod: the "restricted" profile. Argument: root. */}}
{{- define "belisha.podSecurityContext" -}}
runAsNonRoot: true
{{- range $key := list "runAsUser" "runAsGroup" "fsGroup" }}
{{- $id := index $.Values.security $key }}
{{- if not (kindIs "invalid" $id) }}
{{ $key }}: {{ $id | int64 }}
{{- end }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "belisha.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Where the storage is, and the keys of the secret that opens it: by reference, never by value. Arguments: root, actor. */}}
{{- define "belisha.storageEnv" -}}
- name: BELISHA_STORAGE_URI
  value: {{ .root.Values.storage.uri | quote }}
{{- with .root.Values.storage.existingSecret }}
{{- $secret := . }}
{{- range $.root.Values.storage.secretKeys }}
- name: {{ . }}
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: {{ . }}
      optional: true
{{- end }}
{{- end }}
{{- end -}}

{{/* Folders that libraries want to write to. */}}
{{- define "belisha.scratchEnv" -}}
- name: HOME
  value: /tmp
- name: MPLCONFIGDIR
  value: /tmp/matplotlib
{{- end -}}

{{- define "belisha.volumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: {{ default "1Gi" .tmpSize }}
{{- with .root.Values.storage.existingClaim }}
- name: storage
  persistentVolumeClaim:
    claimName: {{ . }}
{{- end }}
{{- end -}}

{{- define "belisha.mounts" -}}
- name: tmp
  mountPath: /tmp
{{- if .root.Values.storage.existingClaim }}
- name: storage
  mountPath: {{ .root.Values.storage.mountPath }}
{{- end }}
{{- end -}}

{{/* Where pods may go. Argument: a component's values. */}}
{{- define "belisha.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{- define "belisha.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end -}}
