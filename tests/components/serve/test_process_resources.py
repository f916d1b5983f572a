"""CPU time and memory of a real process group, also of workers that have ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from prometheus_client.parser import text_string_to_metric_families

from belisha.components.serve.metrics import Identity
from belisha.components.serve.process_resources import ProcessResources, used_by_group

# A child burns half a second of CPU and ends; its parent collects it and waits.
_GROUP = """
import os, sys, time
child = os.fork()
if not child:
    while time.process_time() < 0.5:
        pass
    os._exit(0)
os.waitpid(child, 0)
print("burnt", flush=True)
sys.stdin.read()
"""


def test_the_time_of_a_worker_that_has_ended_stays_counted() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _GROUP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"burnt\n"
        cpu_seconds, resident_bytes = used_by_group(process.pid)
        # The kernel rounds each of the four times down to a tick of its clock.
        assert 0.5 - 4 / os.sysconf("SC_CLK_TCK") <= cpu_seconds < 5
        assert 1_000_000 < resident_bytes < 1_000_000_000
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert used_by_group(process.pid) == (0.0, 0)


def test_the_page_names_the_predictor() -> None:
    page = ProcessResources(Identity("v1", "p", "crossing")).exposition().decode()
    samples = {one.name: one for family in text_string_to_metric_families(page) for one in family.samples}
    assert set(samples) == {
        "belisha_predictor_cpu_seconds_total", "belisha_predictor_resident_bytes", "belisha_predictor_cpus",
    }  # fmt: skip
    labels = {"deployment_name": "crossing", "predictor_name": "p", "model_version": "v1"}
    assert all(one.labels == labels for one in samples.values())
    assert samples["belisha_predictor_cpu_seconds_total"].value > 0
