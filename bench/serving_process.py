"""The gateway and its predictor as `belisha serve` runs them, with the runtime said; who measures them is another process.

`python -m bench.serving_process STORAGE CACHE RUNTIME` prints its addresses as JSON and serves until standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from belisha.components.route.gateway import GatewaySettings
from belisha.components.shared.progress import silent
from belisha.serving.serve import ServeOptions, serving


async def main(storage: str, cache: str, runtime: str) -> None:
    """Serve what the ledger of `storage` says."""
    options = ServeOptions(storage, GatewaySettings(port=0), cache_dir=Path(cache), runtime=runtime)
    async with serving(options, silent) as running:
        predictor = next(iter(running.supervisor.posts)).url
        print(json.dumps({"gateway": running.url, "predictor": predictor}), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
