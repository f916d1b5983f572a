"""The wrapper's gRPC server with our address, a message size that fits pictures, and an end on SIGTERM."""

from __future__ import annotations

import argparse
import multiprocessing
import signal
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

_GRACE_SECONDS, _LOOK_SECONDS = 20.0, 1.0


def make(
    microservice: Any,
    host: str,
    most_bytes: int,
    predictor: Any,
    seldon_metrics: Any,
    args: argparse.Namespace,
    annotations: Mapping[str, str],
) -> Callable[[], None]:
    """A function that serves gRPC with `args.grpc_workers` processes until SIGTERM.

    The first three arguments are bound by the launcher, the others are those of the wrapper's function of this purpose.
    """
    # A picture may be larger than gRPC's default of 4 MiB; Seldon's annotation overrides ours.
    sized = {"seldon.io/grpc-max-message-size": str(most_bytes), **annotations}
    address = f"{host or '0.0.0.0'}:{args.grpc_port}"
    serve = partial(_serve, microservice, predictor, seldon_metrics, int(args.grpc_threads), sized, address)
    return partial(_run_workers, serve, int(args.grpc_workers))


def _run_workers(serve: Callable[[], None], count: int) -> None:
    """Keep `count` workers until SIGTERM; one that dies is started again."""
    ended = _ended_by_sigterm()
    workers = [_started(serve) for _ in range(count)]
    while not ended.wait(_LOOK_SECONDS):
        workers = [worker if worker.is_alive() else _started(serve) for worker in workers]
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.join()


def _started(serve: Callable[[], None]) -> multiprocessing.Process:
    worker = multiprocessing.Process(target=serve)
    worker.start()
    return worker


def _serve(
    microservice: Any,
    predictor: Any,
    seldon_metrics: Any,
    threads: int,
    annotations: Mapping[str, str],
    address: str,
) -> None:
    ended = _ended_by_sigterm()
    server = microservice.seldon_microservice.get_grpc_server(
        predictor, seldon_metrics, annotations=annotations, num_threads=threads
    )
    predictor.load()
    server.add_insecure_port(address)
    server.start()
    while not ended.wait(_LOOK_SECONDS):
        pass
    server.stop(_GRACE_SECONDS).wait()
    predictor.close()


def _ended_by_sigterm() -> threading.Event:
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    return ended
