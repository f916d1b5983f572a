"""An S3-compatible server on a free port of loopback: prints the port, then serves until it is killed.

moto looks for an object and then writes it in two steps; S3 does both in one. So requests go through one at a time here.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


def main() -> None:
    application, one_at_a_time = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def serve(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with one_at_a_time:
            return application(environ, start_response)

    server = make_server("127.0.0.1", 0, serve, threaded=True)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
