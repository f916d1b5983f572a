"""Ask the server in this container how it is: health.py PATH. Exit codes: 0 it answers well, 1 it does not.

Docker and Podman run it as the image's HEALTHCHECK; Kubernetes has the chart's probes.
"""

import os
import sys
import urllib.request

_TIMEOUT_SECONDS = 4.0


def is_well(path: str) -> bool:
    """Whether the server answers under that path with success."""
    host = os.environ.get("BELISHA_LISTEN_HOST") or "127.0.0.1"
    port = os.environ.get("PREDICTIVE_UNIT_HTTP_SERVICE_PORT") or "9000"
    # A proxy for the world outside has no say about a request to ourselves.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://{host}:{port}{path}", timeout=_TIMEOUT_SECONDS) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError):
        return False


if __name__ == "__main__":
    raise SystemExit(0 if is_well(sys.argv[1]) else 1)
