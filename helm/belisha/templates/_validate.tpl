{{/* What a JSON schema cannot say: rules between keys. Every refusal begins with the key. */}}
{{- define "belisha.validate" -}}
{{- $v := .Values -}}
{{- $name := include "belisha.fullname" . -}}
{{- if gt (len $name) 31 -}}
{{- fail (printf "fullnameOverride: %q has %d letters and Seldon's names below it allow 31: give a shorter one" $name (len $name)) -}}
{{- end -}}
{{- if not $v.storage.uri -}}
{{- fail "storage.uri: it is missing: say where pictures, models and the ledger live, for example s3://bucket/belisha" -}}
{{- end -}}
{{- if and (hasPrefix "file://" $v.storage.uri) (not $v.storage.existingClaim) -}}
{{- fail "storage.uri: a file:// store needs a volume that every pod shares: set storage.existingClaim" -}}
{{- end -}}
{{- if and $v.storage.existingClaim (not (hasPrefix (printf "file://%s" $v.storage.mountPath) $v.storage.uri)) -}}
{{- fail (printf "storage.existingClaim: the claim is mounted at %s and storage.uri %s does not lie there: correct one of them" $v.storage.mountPath $v.storage.uri) -}}
{{- end -}}
{{- include "belisha.validateRelease" . -}}
{{- include "belisha.validateServing" . -}}
{{- if and $v.drift.enabled (eq $v.drift.act "kfp") (not $v.kfp.endpoint) -}}
{{- fail "drift.act: kfp needs kfp.endpoint: name the address of KFP's API, or set drift.act to none" -}}
{{- end -}}
{{- if and $v.retrain.enabled (not $v.kfp.endpoint) -}}
{{- fail "retrain.enabled: weekly retraining needs kfp.endpoint: name the address of KFP's API, or set retrain.enabled to false" -}}
{{- end -}}
{{- range $job := list "drift" "retrain" "experiment" "review" -}}
{{- if le (int64 (index $v $job).startingDeadlineSeconds) 10 -}}
{{- fail (printf "%s.startingDeadlineSeconds: below 10 seconds the controller may never start the job: give more" $job) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "belisha.validateRelease" -}}
{{- $release := .Values.release -}}
{{- $percent := $release.challenger.traffic -}}
{{- if and $release.champion.version (eq $release.champion.version $release.challenger.version) -}}
{{- fail (printf "release.challenger.version: %s is release.champion.version, too: clear one of them" $release.champion.version) -}}
{{- end -}}
{{- if and (not (kindIs "invalid" $release.champion.traffic)) (ne 100 (int (add $release.champion.traffic (default 0 $percent)))) -}}
{{- fail (printf "release.champion.traffic: it and release.challenger.traffic sum to %d, expected 100" (add $release.champion.traffic (default 0 $percent))) -}}
{{- end -}}
{{- if eq $release.mode "manifest" -}}
{{- if not $release.champion.version -}}
{{- fail "release.champion.version: in manifest mode helm says who serves: name the model version" -}}
{{- end -}}
{{- if and $percent (not $release.challenger.version) -}}
{{- fail "release.challenger.traffic: there is no release.challenger.version that could get it: name the model version" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.router.enabled $release.shadowPercent -}}
{{- fail "release.shadowPercent: a router answers with one child, so there are no shadows: set it to 0 or router.enabled to false" -}}
{{- end -}}
{{- if and (eq .Values.mesh.provider "none") $percent (eq $release.mode "manifest") (not .Values.router.enabled) -}}
{{- fail "mesh.provider: without a mesh nobody splits the traffic: enable router.enabled, or name istio or ambassador" -}}
{{- end -}}
{{- end -}}

{{- define "belisha.validateServing" -}}
{{- $serving := .Values.serving -}}
{{- if and $serving.autoscaling.enabled (gt (int64 $serving.autoscaling.minReplicas) (int64 $serving.autoscaling.maxReplicas)) -}}
{{- fail "serving.autoscaling.minReplicas: it is above serving.autoscaling.maxReplicas: correct one of them" -}}
{{- end -}}
{{- if and $serving.gpu.count (eq $serving.runtime "openvino") -}}
{{- fail "serving.runtime: openvino runs on CPUs and serving.gpu.count asks for GPUs: use auto or onnxruntime" -}}
{{- end -}}
{{- if ge (int64 $serving.preStopSeconds) (int64 $serving.terminationGracePeriodSeconds) -}}
{{- fail "serving.preStopSeconds: it leaves nothing of serving.terminationGracePeriodSeconds to finish requests: shorten it" -}}
{{- end -}}
{{- range $serving.env -}}
{{- if or (hasPrefix "PREDICTIVE_UNIT_" .name) (eq .name "GRPC_WORKERS") (hasPrefix "BELISHA_" .name) -}}
{{- fail (printf "serving.env: %s is set by Seldon or by this chart: leave it out" .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
