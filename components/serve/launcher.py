"""Start a predictor: Seldon Core's own microservice, bounded and, on one machine, bound to one address.

`python -m belisha.components.serve.launcher` is what `seldon-core-microservice` is, with the model class and safe settings
filled in. Settings come from arguments here, from the environment under Seldon (`PREDICTIVE_UNIT_PARAMETERS` and so on); what
the environment says already is kept. `BELISHA_LISTEN_HOST` restricts every server to one address; in a cluster it stays unset.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from belisha.components.shared.inference import usable_cpus

LISTEN_HOST = "BELISHA_LISTEN_HOST"
MODEL_CLASS = "belisha.components.serve.predictor.PedestrianDetector"
_PARAMETERS = "PREDICTIVE_UNIT_PARAMETERS"
_MOST_GRPC_BYTES = 32_000_000
_JOIN_SECONDS = 35.0
_PR_SET_PDEATHSIG = 1
_TEXTS = ("model_dir", "model_version", "role", "runtime", "storage_uri")
_NUMBERS = ("threads", "concurrency", "max_bytes", "max_pixels")

Target = Callable[[], None]


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM, then finish what was begun."""
    options = _options(sys.argv[1:] if arguments is None else arguments)
    _fill_environment(options)
    from seldon_core import microservice

    adapt(microservice, os.environ.get(LISTEN_HOST, ""))
    end_forks_with_their_parents()
    sys.argv = ["seldon-core-microservice", MODEL_CLASS, "--service-type", "MODEL", *_ports(options)]
    microservice.main()


def adapt(microservice: Any, host: str) -> None:
    """Put our servers and metrics in the place of the wrapper's.

    Args:
        microservice: the module `seldon_core.microservice`.
        host: to listen on; empty leaves the wrapper's choice, every interface.
    """
    from belisha.components.serve import grpc_server
    from belisha.components.serve.rest_server import MetricsApplication, RestApplication
    from belisha.components.serve.wrapper_metrics import NoWrapperMetrics

    RestApplication.host = MetricsApplication.host = host
    microservice.UserModelApplication = RestApplication
    microservice.StandaloneApplication = MetricsApplication
    microservice.SeldonMetrics = NoWrapperMetrics
    microservice.start_servers = start_servers
    microservice._make_grpc_server = partial(grpc_server.make, microservice, host, _MOST_GRPC_BYTES)


def end_forks_with_their_parents() -> None:
    """From now on the kernel sends SIGTERM to every forked process, and to those that it forks, when its parent dies.

    Without it the wrapper's metrics server and gRPC's workers outlive a parent that got SIGKILL, and
    hold its ports. Does nothing where there is no `prctl` (on anything but Linux).
    """
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    parent = os.getpid()

    def remember() -> None:
        nonlocal parent
        parent = os.getpid()

    def follow() -> None:
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
            if os.getppid() != parent:  # it died before the kernel was asked
                os._exit(1)

    os.register_at_fork(before=remember, after_in_child=follow)


def start_servers(rest: Target, grpc: Target | None, custom: Target | None, metrics: Target | None) -> None:
    """Run the REST server here and the others as children, which end with it, whatever ends it."""
    children = [multiprocessing.Process(target=target) for target in (grpc, custom, metrics) if target]
    for child in children:
        child.start()
    parent = os.getpid()
    try:
        rest()
    finally:
        # Gunicorn's workers are forked inside and leave through here, too.
        if os.getpid() == parent:
            _end(children)


def _end(children: Sequence[multiprocessing.Process]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for child in children:
        child.terminate()
    for child in children:
        child.join(_JOIN_SECONDS)
        if child.is_alive():
            child.kill()


def _fill_environment(options: argparse.Namespace) -> None:
    defaults = {
        "PAYLOAD_PASSTHROUGH": "true",
        "INCLUDE_METRICS_IN_CLIENT_RESPONSE": "false",
        "GRPC_WORKERS": "0",
        # Threads wait for clients; how many pictures are in the works at once is bounded by the service itself.
        "GUNICORN_THREADS": str(4 * usable_cpus() + 4),
        "GUNICORN_KEEPALIVE": "75",
        "PREDICTIVE_UNIT_METRICS_ENDPOINT": "/prometheus",
        _PARAMETERS: json.dumps(_parameters(options)),
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    # Libraries that start a thread a core for one small operation only get into each other's way.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def _parameters(options: argparse.Namespace) -> list[dict[str, str]]:
    """What was given, in the form in which Seldon hands over graph parameters."""
    kinds = dict.fromkeys(_TEXTS, "STRING") | dict.fromkeys(_NUMBERS, "INT")
    given = {name: getattr(options, name) for name in kinds}
    return [
        {"name": name, "value": str(value), "type": kinds[name]} for name, value in given.items() if value is not None
    ]


def _ports(options: argparse.Namespace) -> list[str]:
    given = {"--http-port": options.http_port, "--metrics-port": options.metrics_port, "--grpc-port": options.grpc_port}
    return [text for name, port in given.items() if port is not None for text in (name, str(port))]


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="belisha.components.serve.launcher", description=__doc__)
    for name in _TEXTS:
        parser.add_argument(f"--{name.replace('_', '-')}")
    for name in (*_NUMBERS, "http_port", "metrics_port", "grpc_port"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int)
    options = parser.parse_args(arguments)
    if options.model_dir is None and _PARAMETERS not in os.environ:
        parser.error(f"expected --model-dir, or {_PARAMETERS} in the environment")
    return options


if __name__ == "__main__":
    main()
