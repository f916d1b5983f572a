"""The render matrix: each feature off, on and custom; and values that must be refused, with the key that the refusal names."""

from __future__ import annotations

from typing import Any

_GPU_TOLERATION = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
_MANIFEST = {"mode": "manifest", "champion": {"version": "v7", "runId": "run-7"}}
_DIGEST = "sha256:" + "ab" * 32

VALUE_SETS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "no secret": {"storage": {"existingSecret": ""}},
    "secret with other keys": {"storage": {"existingSecret": "gcs", "secretKeys": ["GOOGLE_SERVICE_ACCOUNT_KEY"]}},
    "shared volume": {"storage": {"uri": "file:///storage/belisha", "existingSecret": "", "existingClaim": "loop"}},
    "other names": {"fullnameOverride": "crossing", "nameOverride": "watch", "labels": {"team": "vision"}},
    "registry and pull secrets": {
        "image": {
            "registry": "images.example.org:5000",
            "prefix": "vision/belisha",
            "tag": "1.2.3",
            "pullPolicy": "Always",
        }
        | {"pullSecrets": ["pull-a", "pull-b"]},
    },
    "digests": {
        "serving": {"image": {"digest": _DIGEST}},
        "controller": {"image": {"repository": "images.example.org/belisha/release", "digest": _DIGEST}},
    },
    "openshift": {"security": {"runAsUser": None, "runAsGroup": None, "fsGroup": None}},
    "workload identity": {
        "storage": {"existingSecret": ""},
        "serviceAccounts": {
            name: {"annotations": {"iam.gke.io/gcp-service-account": "belisha@example.org"}}
            for name in ("controller", "serving", "jobs")
        },
    },
    "accounts of others": {
        "serviceAccounts": {name: {"create": False, "name": "given"} for name in ("controller", "serving", "jobs")}
    },
    "wish: traffic": {"release": {"challenger": {"traffic": 25}}},
    "wish: traffic to a version": {"release": {"challenger": {"version": "v8", "traffic": 0}}},
    "wish: champion": {"release": {"champion": {"version": "v8"}}},
    "wish: both shares": {"release": {"champion": {"traffic": 80}, "challenger": {"traffic": 20}}},
    "shadow": {"release": {"shadowPercent": 100}},
    "manifest": {"release": _MANIFEST},
    "manifest with challenger": {"release": {**_MANIFEST, "challenger": {"version": "v8", "traffic": 20}}},
    "manifest with idle challenger": {"release": {**_MANIFEST, "challenger": {"version": "v8", "traffic": 0}}},
    "manifest with shadow": {"release": {**_MANIFEST, "challenger": {"version": "v8"}, "shadowPercent": 10}},
    "manifest with router": {
        "release": {**_MANIFEST, "challenger": {"version": "v8", "traffic": 30}},
        "router": {"enabled": True},
    },
    "router": {"router": {"enabled": True, "replicas": 2}},
    "router with policy": {
        "router": {
            "enabled": True,
            "policy": {"experiment": "autumn", "sticky_by": "client", "rules": [{"name": "closed", "deny": "not now"}]},
        },
    },
    "autoscaling": {"serving": {"autoscaling": {"enabled": True, "minReplicas": 2, "maxReplicas": 6}}},
    "replicas and spreading": {
        "serving": {
            "replicas": 3,
            "podDisruptionBudget": {"maxUnavailable": 2},
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "topology.kubernetes.io/zone",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": {"seldon-deployment-id": "belisha"}},
                }
            ],
        }
    },
    "no disruption budget": {"serving": {"podDisruptionBudget": {"enabled": False}}},
    "gpu": {
        "serving": {
            "gpu": {"count": 1},
            "runtime": "onnxruntime",
            "nodeSelector": {"belisha.dev/accelerator": "gpu"},
            "tolerations": [_GPU_TOLERATION],
            "priorityClassName": "belisha-serving",
        }
    },
    "small cpu": {
        "serving": {
            "resources": {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
            "runtime": "openvino",
            "threads": 2,
            "concurrency": 1,
            "env": [{"name": "OMP_NUM_THREADS", "value": "2"}],
        }
    },
    "istio": {"mesh": {"istio": {"gateway": "istio-system/seldon-gateway", "host": "see.example.org", "retries": 2}}},
    "ambassador": {"mesh": {"provider": "ambassador", "ambassador": {"id": "edge", "retries": 1}}},
    "no mesh, router": {"mesh": {"provider": "none"}, "router": {"enabled": True}},
    "no exporter": {"exporter": {"enabled": False}},
    "no jobs": {name: {"enabled": False} for name in ("drift", "retrain", "experiment", "review")},
    "jobs of one's own": {
        "drift": {"schedule": "*/15 8-18 * * MON-FRI", "timeZone": "Europe/London", "mode": "textbook", "act": "kfp"}
        | {"extraArgs": ["--window", "500"], "suspend": True},
        "retrain": {
            "schedule": "@weekly",
            "timeZone": "Etc/GMT+5",
            "nodeSelector": {"pool": "batch"},
            "policy": {"onAlert": "retrain", "budgetRuns": 3, "cooldownHours": 0.5},
            "parameters": {"data_sources": ["s3://bucket/labels"], "train_epochs": 80},
        },
        "experiment": {"schedule": "*/5 * * * *", "backoffLimit": 0},
        "review": {"tolerations": [{"operator": "Exists"}], "affinity": {"podAntiAffinity": {}}},
    },
    "no kfp": {"kfp": {"endpoint": ""}, "retrain": {"enabled": False}, "drift": {"act": "none"}},
    "no drift check, no kfp": {"kfp": {"endpoint": ""}, "retrain": {"enabled": False}, "drift": {"enabled": False}},
    "multi-user kfp": {
        "kfp": {
            "namespace": "team-a",
            "endpoint": "https://kfp.example.org/pipeline",
            "token": {"projected": True, "expirationSeconds": 3600},
            "rbac": {"create": True},
        },
        "drift": {"act": "kfp"},
    },
    "network policies": {
        "networkPolicy": {"enabled": True, "storage": {"cidr": "10.20.0.0/16", "ports": [9000, 443]}},
        "monitoring": {
            "pushgateway": "http://pushgateway.monitoring:9091",
            "prometheusUrl": "http://prometheus.monitoring:9090",
        },
    },
    "network policies, ambassador, manifest": {
        "networkPolicy": {"enabled": True, "gatewayNamespace": "emissary"},
        "mesh": {"provider": "ambassador"},
        "release": _MANIFEST,
    },
    "monitoring": {
        "monitoring": {
            name: {"enabled": True, "labels": {"release": "kube-prometheus-stack"}}
            for name in ("podMonitor", "prometheusRule", "dashboards")
        }
    },
    "monitoring elsewhere": {
        "monitoring": {
            "podMonitor": {"enabled": True, "namespace": "monitoring", "interval": "1m", "scrapeTimeout": "30s"},
            "prometheusRule": {"enabled": True, "namespace": "monitoring"},
            "dashboards": {
                "enabled": True,
                "namespace": "monitoring",
                "annotations": {"grafana_folder": "Pedestrian detection"},
            },
        },
        "exporter": {"enabled": False},
    },
}

HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "no storage": ({"storage": {"uri": ""}}, "storage.uri"),
    "unknown scheme": ({"storage": {"uri": "ftp://host/x"}}, "/storage/uri"),
    "password in the address": ({"storage": {"uri": "s3://key:secret@bucket/x"}}, "/storage/uri"),
    "file without volume": ({"storage": {"uri": "file:///storage"}}, "storage.uri"),
    "volume elsewhere": ({"storage": {"existingClaim": "c"}}, "storage.existingClaim"),
    "unknown key": ({"serving": {"replica": 2}}, "replica"),
    "unknown top key": ({"model": {}}, "model"),
    "typing mistake in a job": ({"drift": {"shedule": "@daily"}}, "shedule"),
    "no replicas": ({"serving": {"replicas": 0}}, "/serving/replicas"),
    "half a replica": ({"serving": {"replicas": 1.5}}, "/serving/replicas"),
    "no router replicas": ({"router": {"replicas": 0}}, "/router/replicas"),
    "traffic above all": ({"release": {"challenger": {"traffic": 150}}}, "/release/challenger/traffic"),
    "traffic below nothing": ({"release": {"challenger": {"traffic": -50}}}, "/release/challenger/traffic"),
    "traffic as text": ({"release": {"challenger": {"traffic": "25"}}}, "/release/challenger/traffic"),
    "a fraction of a percent": ({"release": {"challenger": {"traffic": 0.5}}}, "/release/challenger/traffic"),
    "shares that do not sum": (
        {"release": {"champion": {"traffic": 80}, "challenger": {"traffic": 30}}},
        "release.champion.traffic",
    ),
    "share of the champion alone": ({"release": {"champion": {"traffic": 99}}}, "release.champion.traffic"),
    "no version": ({"release": {"champion": {"version": "latest"}}}, "/release/champion/version"),
    "version that breaks out": ({"release": {"champion": {"version": 'v7", "x": "'}}}, "/release/champion/version"),
    "twice the same": (
        {"release": {"champion": {"version": "v7"}, "challenger": {"version": "v7"}}},
        "release.challenger.version",
    ),
    "manifest without champion": ({"release": {"mode": "manifest"}}, "release.champion.version"),
    "manifest, traffic to nobody": (
        {"release": {**_MANIFEST, "challenger": {"traffic": 5}}},
        "release.challenger.traffic",
    ),
    "unknown mode": ({"release": {"mode": "auto"}}, "/release/mode"),
    "shadow behind a router": (
        {"release": {"shadowPercent": 10}, "router": {"enabled": True}},
        "release.shadowPercent",
    ),
    "split without mesh": (
        {"mesh": {"provider": "none"}, "release": {**_MANIFEST, "challenger": {"version": "v8", "traffic": 5}}},
        "mesh.provider",
    ),
    "ambassador v1": ({"mesh": {"ambassador": {"version": "v1"}}}, "/mesh/ambassador/version"),
    "unknown mesh": ({"mesh": {"provider": "linkerd"}}, "/mesh/provider"),
    "latest": ({"image": {"tag": "latest"}}, "/image/tag"),
    "latest for one": ({"serving": {"image": {"tag": "latest"}}}, "/serving/image/tag"),
    "short digest": ({"serving": {"image": {"digest": "sha256:abc"}}}, "/serving/image/digest"),
    "root": ({"security": {"runAsUser": 0}}, "/security/runAsUser"),
    "no memory limit": ({"serving": {"resources": {"limits": {"memory": None}}}}, "/serving/resources/limits"),
    "cpu: lots": ({"drift": {"resources": {"requests": {"cpu": "lots"}}}}, "/drift/resources/requests/cpu"),
    "fewest above most": (
        {"serving": {"autoscaling": {"enabled": True, "minReplicas": 9, "maxReplicas": 2}}},
        "serving.autoscaling.minReplicas",
    ),
    "openvino on a gpu": ({"serving": {"gpu": {"count": 1}, "runtime": "openvino"}}, "serving.runtime"),
    "hook longer than grace": ({"serving": {"preStopSeconds": 60}}, "serving.preStopSeconds"),
    "secret as a value": (
        {"serving": {"env": [{"name": "AWS_SECRET_ACCESS_KEY", "value": "x"}]}},
        "/serving/env/0/name",
    ),
    "Seldon's own variable": ({"serving": {"env": [{"name": "GRPC_WORKERS", "value": "2"}]}}, "serving.env"),
    "our own variable": ({"serving": {"env": [{"name": "BELISHA_ACTOR", "value": "me"}]}}, "serving.env"),
    "secret key with a space": ({"storage": {"secretKeys": ["A B"]}}, "/storage/secretKeys/0"),
    "cron of six fields": ({"drift": {"schedule": "0 7 * * * *"}}, "/drift/schedule"),
    "cron in words": ({"retrain": {"schedule": "every monday"}}, "/retrain/schedule"),
    "deadline that never starts": ({"review": {"startingDeadlineSeconds": 5}}, "/review/startingDeadlineSeconds"),
    "no deadline": ({"experiment": {"activeDeadlineSeconds": 0}}, "/experiment/activeDeadlineSeconds"),
    "act without kfp": ({"drift": {"act": "kfp"}, "retrain": {"enabled": False}, "kfp": {"endpoint": ""}}, "drift.act"),
    "typing mistake in the policy": ({"retrain": {"policy": {"budget_runs": 1}}}, "budget_runs"),
    "retraining without kfp": ({"kfp": {"endpoint": ""}, "drift": {"act": "none"}}, "retrain.enabled"),
    "password in kfp's address": ({"kfp": {"endpoint": "http://me:secret@kfp"}}, "/kfp/endpoint"),
    "short-lived token": ({"kfp": {"token": {"expirationSeconds": 60}}}, "/kfp/token/expirationSeconds"),
    "name too long": ({"fullnameOverride": "a" * 32}, "/fullnameOverride"),
    "name with a capital": ({"fullnameOverride": "Belisha"}, "/fullnameOverride"),
    "label that is none": ({"labels": {"team": "a b"}}, "/labels/team"),
    "wrong toleration": ({"serving": {"tolerations": [{"effect": "Never"}]}}, "/serving/tolerations/0/effect"),
    "no such cidr": ({"networkPolicy": {"storage": {"cidr": "everywhere"}}}, "/networkPolicy/storage/cidr"),
    "interval without unit": ({"monitoring": {"podMonitor": {"interval": "15"}}}, "/monitoring/podMonitor/interval"),
}
