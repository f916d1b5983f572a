"""Seldon's microservice as it is, but bound to loopback: a script for the serving environment.

Usage: wrapper.py CLASS SERVICE_TYPE HTTP_PORT METRICS_PORT, and Seldon's environment.
"""

from __future__ import annotations

import sys

from seldon_core import gunicorn_utils, microservice


def main() -> None:
    name, service_type, http_port, metrics_port = sys.argv[1:]
    load_config = gunicorn_utils.StandaloneApplication.load_config

    def load_on_loopback(self: gunicorn_utils.StandaloneApplication) -> None:
        self.options["bind"] = self.options["bind"].replace("0.0.0.0", "127.0.0.1")
        load_config(self)

    gunicorn_utils.StandaloneApplication.load_config = load_on_loopback
    ports = ["--http-port", http_port, "--metrics-port", metrics_port, "--grpc-workers", "0"]
    sys.argv = ["seldon-core-microservice", name, "--service-type", service_type, *ports]
    microservice.main()


if __name__ == "__main__":
    main()
