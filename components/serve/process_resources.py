"""What a predictor's processes use of the machine, taken from /proc when Prometheus asks: no exporter beside it is needed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from belisha.components.serve.metrics import Identity
from belisha.components.shared.inference import usable_cpus

_LABELS = ("deployment_name", "predictor_name", "model_version")
# Fields of /proc/PID/stat after the name in parentheses, which may hold spaces.
_GROUP, _TIMES, _RESIDENT = 2, slice(11, 15), 21


class ProcessResources:
    """CPU time and memory of all processes of a process group, the metrics server's own included.

    A worker that has ended stays counted: its parent has collected its time.

    Args:
        identity: values of the labels.
        group: number of the process group; this process's own by default.
    """

    def __init__(self, identity: Identity, group: int | None = None) -> None:
        self._values = (identity.deployment_name, identity.predictor_name, identity.model_version)
        self._group = os.getpgrp() if group is None else group
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def exposition(self) -> bytes:
        """The metrics as Prometheus' text."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """What the processes have used until now, for the registry."""
        cpu_seconds, resident_bytes = used_by_group(self._group)
        cpu = CounterMetricFamily(
            "belisha_predictor_cpu_seconds", "CPU seconds that the predictor's processes have used.", labels=_LABELS
        )
        cpu.add_metric(self._values, cpu_seconds)
        yield cpu
        yield self._gauge(
            "resident_bytes", "Memory of the predictor's processes, shared pages counted twice.", resident_bytes
        )
        yield self._gauge("cpus", "CPUs that the predictor may use.", usable_cpus())

    def _gauge(self, name: str, text: str, value: float) -> GaugeMetricFamily:
        gauge = GaugeMetricFamily(f"belisha_predictor_{name}", text, labels=_LABELS)
        gauge.add_metric(self._values, value)
        return gauge


def used_by_group(group: int) -> tuple[float, int]:
    """CPU seconds and resident bytes of a process group's living processes, with the time of children they have collected."""
    ticks, pages = 0, 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue
        if int(fields[_GROUP]) == group:
            ticks += sum(int(field) for field in fields[_TIMES])
            pages += int(fields[_RESIDENT])
    return ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE")
