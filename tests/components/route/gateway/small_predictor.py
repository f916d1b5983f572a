"""A predictor for tests, a process that keeps the predictors' contract: `small_predictor.py VERSION`; prints its port.

Bodies of the form `<version> <word> …` make the one with that version behave oddly: `status 500`, `drop`, `crash`, `sleep 0.5`,
`loading 0.5` (503 until so many seconds after the first such request), `deaf 3` (to looks at its health, for so long).
Whatever it answered for the log alone it tells at `GET /seen`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time

from aiohttp import web

VERSION = sys.argv[1]
FACTS = (
    "X-Belisha-Role",
    "X-Belisha-Drawn",
    "X-Belisha-Shadow",
    "X-Belisha-Camera",
    "X-Belisha-Client",
    "Content-Type",
)
seen: list[dict[str, str]] = []
ready_at: dict[str, float] = {}


async def predict(request: web.Request) -> web.StreamResponse:
    body = await request.read()
    seen.append({"body": body.decode("latin-1")[:60], **{name: request.headers.get(name, "") for name in FACTS}})
    words = body.decode("latin-1").split()
    if words[:1] == [VERSION] and len(words) > 1:
        if words[1] == "crash":
            os._exit(9)
        if words[1] == "drop" and request.transport is not None:
            request.transport.abort()
        if words[1] == "sleep":
            await asyncio.sleep(float(words[2]))
        if words[1] == "loading" and time.monotonic() < ready_at.setdefault("time", time.monotonic() + float(words[2])):
            return web.Response(status=503)
        if words[1] == "deaf":
            ready_at["health"] = time.monotonic() + float(words[2])
        if words[1] == "status":
            return web.Response(status=int(words[2]), text="Traceback: secret")
    role = request.headers.get("X-Belisha-Role", "")
    facts = {"request_id": request.headers["X-Request-ID"], "model_version": VERSION, "role": role}
    box = {"x": 1.0, "y": 2.0, "width": 3.0, "height": 4.0, "score": 0.5}
    return web.json_response({**facts, "width_px": 10, "height_px": 10, "boxes": [box], "latency_seconds": 0.001})


async def feedback(request: web.Request) -> web.StreamResponse:
    seen.append({"feedback": (await request.read()).decode(), "Content-Type": request.headers.get("Content-Type", "")})
    return web.json_response({})


async def status(request: web.Request) -> web.Response:
    while time.monotonic() < ready_at.get("health", 0):
        await asyncio.sleep(0.05)
    return web.Response()


async def tell(request: web.Request) -> web.Response:
    text = json.dumps(seen)
    if "forget" in request.query:
        seen.clear()
    return web.Response(text=text)


async def main() -> None:
    app = web.Application(client_max_size=200_000_000)
    routes = [web.post("/api/v1.0/predictions", predict), web.get("/health/status", status), web.get("/seen", tell)]
    routes.append(web.post("/api/v1.0/feedback", feedback))
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    # Whoever started it holds its standard input; when that closes it ends.
    await asyncio.to_thread(sys.stdin.read)


asyncio.run(main())
