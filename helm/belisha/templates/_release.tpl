{{/*
The shape of what serves. Each piece takes root and version; the release template is rendered with the version @VERSION@, which the
release controller replaces, the manifest mode with true versions. So a pod's shape stands here and nowhere else.
*/}}

{{/* The SeldonDeployment's spec without predictors. Argument: root. */}}
{{- define "belisha.release.spec" -}}
protocol: seldon
transport: rest
annotations:
  seldon.io/rest-timeout: {{ .Values.serving.restTimeoutMilliseconds | int64 | quote }}
  {{- with .Values.mesh }}
  {{- if eq .provider "istio" }}
  {{- with .istio.gateway }}
  seldon.io/istio-gateway: {{ . | quote }}
  {{- end }}
  {{- with .istio.host }}
  seldon.io/istio-host: {{ . | quote }}
  {{- end }}
  {{- if .istio.retries }}
  seldon.io/istio-retries: {{ .istio.retries | int64 | quote }}
  seldon.io/istio-retries-timeout: {{ .istio.retriesTimeoutSeconds | int64 | quote }}
  {{- end }}
  {{- end }}
  {{- if eq .provider "ambassador" }}
  {{- with .ambassador.id }}
  seldon.io/ambassador-id: {{ . | quote }}
  {{- end }}
  {{- if .ambassador.retries }}
  seldon.io/ambassador-retries: {{ .ambassador.retries | int64 | quote }}
  {{- end }}
  {{- end }}
  {{- end }}
{{- end -}}

{{/* What every predictor has. The executor reads its version from the annotation, the wrapper from the label. */}}
{{- define "belisha.release.predictor" -}}
replicas: {{ .root.Values.serving.replicas | int64 }}
labels:
  version: {{ .version | quote }}
annotations:
  version: {{ .version | quote }}
svcOrchSpec:
  resources:
    {{- toYaml .root.Values.serving.orchestrator.resources | nindent 4 }}
  {{- if .root.Values.router.enabled }}
  env:
    # Feedback finds the child that answered by the routing in the answer's meta.
    - name: SELDON_ENABLE_ROUTING_INJECTION
      value: "true"
  {{- end }}
{{- end -}}

{{- define "belisha.release.detectorName" -}}
{{- if .root.Values.router.enabled -}}detector-{{ .version }}{{- else -}}detector{{- end -}}
{{- end -}}

{{/* Pictures in the works at once: one for each CPU of the limit, for a process sees the node's CPUs and not its limit. */}}
{{- define "belisha.release.concurrency" -}}
{{- $serving := .Values.serving -}}
{{- $limit := toString (default "" $serving.resources.limits.cpu) -}}
{{- if or $serving.concurrency (not $limit) -}}
{{- $serving.concurrency | int64 -}}
{{- else -}}
{{- $cpus := ternary (divf (trimSuffix "m" $limit | float64) 1000) (float64 $limit) (hasSuffix "m" $limit) -}}
{{- max 1 (div (ceil $cpus | int64) (int64 $serving.threads)) -}}
{{- end -}}
{{- end -}}

{{- define "belisha.release.detectorGraph" -}}
{{- $serving := .root.Values.serving -}}
name: {{ include "belisha.release.detectorName" . | quote }}
type: MODEL
parameters:
  - {name: model_dir, type: STRING, value: /models/model}
  - {name: model_version, type: STRING, value: {{ .version | quote }}}
  # A role moves without a restart, so no pod can know its own: the ledger says who was champion when.
  - {name: role, type: STRING, value: unknown}
  - {name: storage_uri, type: STRING, value: {{ .root.Values.storage.uri | quote }}}
  - {name: runtime, type: STRING, value: {{ $serving.runtime | quote }}}
  - {name: threads, type: INT, value: {{ $serving.threads | int64 | quote }}}
  - {name: concurrency, type: INT, value: {{ include "belisha.release.concurrency" .root | quote }}}
  - {name: max_bytes, type: INT, value: {{ $serving.maxPictureBytes | int64 | quote }}}
  - {name: max_pixels, type: INT, value: {{ $serving.maxPicturePixels | int64 | quote }}}
{{- end -}}

{{- define "belisha.release.podMetadata" -}}
name: {{ .name | quote }}
labels:
  app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
  app.kubernetes.io/component: {{ .component }}
  app.kubernetes.io/part-of: belisha
{{- end -}}

{{/* The pods of one model version. */}}
{{- define "belisha.release.detectorComponent" -}}
{{- $serving := .root.Values.serving -}}
{{- $image := include "belisha.image" (dict "root" .root "role" "serve" "image" $serving.image) -}}
{{- $resources := deepCopy $serving.resources -}}
{{- if $serving.gpu.count -}}
{{- $_ := set $resources "limits" (set (default dict $resources.limits) $serving.gpu.resource (int64 $serving.gpu.count | toString)) -}}
{{- end -}}
metadata:
  {{- include "belisha.release.podMetadata" (dict "root" .root "component" "predictor" "name" (include "belisha.release.detectorName" .)) | nindent 2 }}
{{- if $serving.autoscaling.enabled }}
hpaSpec:
  minReplicas: {{ $serving.autoscaling.minReplicas | int64 }}
  maxReplicas: {{ $serving.autoscaling.maxReplicas | int64 }}
  # Seldon turns this older spelling into autoscaling/v2; some of its CRDs drop the newer one, metricsv2, silently.
  metrics:
    - type: Resource
      resource:
        name: cpu
        targetAverageUtilization: {{ $serving.autoscaling.targetCPUUtilizationPercentage | int64 }}
{{- end }}
spec:
  serviceAccountName: {{ include "belisha.serviceAccountName" (dict "root" .root "account" "serving") }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ $serving.terminationGracePeriodSeconds | int64 }}
  securityContext:
    {{- include "belisha.podSecurityContext" .root | nindent 4 }}
  {{- with include "belisha.pullSecrets" .root }}
  {{- . | indent 2 }}
  {{- end }}
  initContainers:
    - name: fetch-model
      image: {{ $image | quote }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      command: [python, -m, belisha.components.serve.fetching]
      args: [--version, {{ .version | quote }}, --into, /models/model]
      env:
        {{- include "belisha.storageEnv" (dict "root" .root) | nindent 8 }}
        {{- include "belisha.scratchEnv" .root | nindent 8 }}
      resources:
        requests: {cpu: 100m, memory: 128Mi}
        limits: {cpu: "1", memory: 512Mi}
      securityContext:
        {{- include "belisha.securityContext" .root | nindent 8 }}
      volumeMounts:
        {{- include "belisha.mounts" . | nindent 8 }}
        - name: models
          mountPath: /models
  containers:
    - name: {{ include "belisha.release.detectorName" . | quote }}
      image: {{ $image | quote }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      command: [python, -m, belisha.components.serve.launcher]
      env:
        {{- include "belisha.storageEnv" (dict "root" .root) | nindent 8 }}
        {{- include "belisha.scratchEnv" .root | nindent 8 }}
        # Each gRPC worker would load the model once more.
        - name: GRPC_WORKERS
          value: "0"
        - name: GUNICORN_WORKERS
          value: {{ $serving.workers | int64 | quote }}
        - name: PAYLOAD_PASSTHROUGH
          value: "true"
        - name: INCLUDE_METRICS_IN_CLIENT_RESPONSE
          value: "false"
        - name: BELISHA_METRICS_PORT
          value: "6001"
        {{- with $serving.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        # Seldon adds http and grpc. It would number the metrics ports of predictors by their order, from 6000: the second one's
        # would be ours, and dropping the first predictor would change the second's, which restarts it.
        - name: metrics
          containerPort: 6000
          protocol: TCP
        - name: metrics-belisha
          containerPort: 6001
          protocol: TCP
      startupProbe:
        httpGet: {path: /health/status, port: http}
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: {{ max 1 (div (add (int64 $serving.startupSeconds) 4) 5) }}
      readinessProbe:
        httpGet: {path: /health/status, port: http}
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: 3
      livenessProbe:
        httpGet: {path: /health/ping, port: http}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      lifecycle:
        preStop:
          exec:
            # Seldon's own hook needs a shell, which this image may lack.
            command: [python, -c, "import time; time.sleep({{ $serving.preStopSeconds | int64 }})"]
      terminationMessagePolicy: FallbackToLogsOnError
      resources:
        {{- toYaml $resources | nindent 8 }}
      securityContext:
        {{- include "belisha.securityContext" .root | nindent 8 }}
      volumeMounts:
        {{- include "belisha.mounts" . | nindent 8 }}
        - name: models
          mountPath: /models
          readOnly: true
  volumes:
    {{- include "belisha.volumes" . | nindent 4 }}
    - name: models
      emptyDir:
        sizeLimit: {{ $serving.modelCacheSize }}
  {{- with include "belisha.placement" $serving }}
  {{- . | indent 2 }}
  {{- end }}
{{- end -}}

{{/* The router's node, without its children. Arguments: root, ratio (of the challenger; only where no ledger is followed). */}}
{{- define "belisha.release.routerGraph" -}}
name: router
type: ROUTER
# Without the second the executor sends no feedback, without the first a refused caller gets no reason.
methods: [TRANSFORM_INPUT, SEND_FEEDBACK]
parameters:
  - {name: policy_path, type: STRING, value: /etc/belisha/policy/policy.yaml}
  - {name: follow_seconds, type: FLOAT, value: {{ .root.Values.router.followSeconds | toString | quote }}}
  {{- if eq .root.Values.release.mode "controller" }}
  - {name: storage_uri, type: STRING, value: {{ .root.Values.storage.uri | quote }}}
  {{- else }}
  - {name: challenger_traffic_ratio, type: FLOAT, value: {{ .ratio | quote }}}
  {{- end }}
{{- end -}}

{{- define "belisha.release.routerComponent" -}}
{{- $router := .root.Values.router -}}
metadata:
  {{- include "belisha.release.podMetadata" (dict "root" .root "component" "router" "name" "router") | nindent 2 }}
replicas: {{ $router.replicas | int64 }}
spec:
  serviceAccountName: {{ include "belisha.serviceAccountName" (dict "root" .root "account" "serving") }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .root.Values.serving.terminationGracePeriodSeconds | int64 }}
  securityContext:
    {{- include "belisha.podSecurityContext" .root | nindent 4 }}
  {{- with include "belisha.pullSecrets" .root }}
  {{- . | indent 2 }}
  {{- end }}
  containers:
    - name: router
      image: {{ include "belisha.image" (dict "root" .root "role" "route" "image" $router.image) | quote }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      command: [seldon-core-microservice, belisha.components.route.router.TrafficRouter, --service-type, ROUTER]
      env:
        {{- include "belisha.storageEnv" (dict "root" .root) | nindent 8 }}
        {{- include "belisha.scratchEnv" .root | nindent 8 }}
        - name: GRPC_WORKERS
          value: "0"
        - name: GUNICORN_THREADS
          value: "16"
        - name: BELISHA_METRICS_PORT
          value: "6001"
      ports:
        - name: metrics
          containerPort: 6000
          protocol: TCP
        - name: metrics-belisha
          containerPort: 6001
          protocol: TCP
      startupProbe:
        httpGet: {path: /health/ping, port: http}
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: 60
      readinessProbe:
        httpGet: {path: /health/ping, port: http}
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: 3
      livenessProbe:
        httpGet: {path: /health/ping, port: http}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      lifecycle:
        preStop:
          exec:
            command: [python, -c, "import time; time.sleep({{ .root.Values.serving.preStopSeconds | int64 }})"]
      terminationMessagePolicy: FallbackToLogsOnError
      resources:
        {{- toYaml $router.resources | nindent 8 }}
      securityContext:
        {{- include "belisha.securityContext" .root | nindent 8 }}
      volumeMounts:
        {{- include "belisha.mounts" . | nindent 8 }}
        - name: policy
          mountPath: /etc/belisha/policy
          readOnly: true
  volumes:
    {{- include "belisha.volumes" . | nindent 4 }}
    - name: policy
      configMap:
        name: {{ include "belisha.fullname" .root }}-policy
{{- end -}}

{{/* What the release controller fills: see components/release/release_template.py. Argument: root. */}}
{{- define "belisha.release.template" -}}
{{- $at := dict "root" . "version" "@VERSION@" -}}
{{- $labels := dict "app.kubernetes.io/name" (default .Chart.Name .Values.nameOverride) "app.kubernetes.io/part-of" "belisha" "app.kubernetes.io/component" "predictors" "app.kubernetes.io/managed-by" "belisha-controller" -}}
{{- $metadata := dict "name" (include "belisha.fullname" .) "namespace" .Release.Namespace "labels" (merge $labels .Values.labels) -}}
{{- $object := dict "apiVersion" "machinelearning.seldon.io/v1" "kind" "SeldonDeployment" "metadata" $metadata "spec" (include "belisha.release.spec" . | fromYaml) -}}
{{- $detector := dict "graph" (include "belisha.release.detectorGraph" $at | fromYaml) "component" (include "belisha.release.detectorComponent" $at | fromYaml) -}}
{{- $template := dict "schema" "belisha.release-template/1" "mode" (ternary "router" "split" .Values.router.enabled) "shadow_percent" (int64 .Values.release.shadowPercent) "object" $object "predictor" (include "belisha.release.predictor" $at | fromYaml) "detector" $detector -}}
{{- if .Values.router.enabled -}}
{{- $_ := set $template "router" (dict "graph" (include "belisha.release.routerGraph" $at | fromYaml) "component" (include "belisha.release.routerComponent" $at | fromYaml)) -}}
{{- end -}}
{{- mustToPrettyJson $template -}}
{{- end -}}
