"""Health and metrics on the public port, as the platform's probes expect them."""

from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse

from runtime.admin import Probes


def mount_probes(app: FastAPI, probes: Probes) -> None:
    """/livez says that the process answers, /readyz that it can do its work."""

    async def livez(_: Request) -> Response:
        return JSONResponse({"alive": True})

    async def readyz(_: Request) -> Response:
        failing = await probes.failing()
        body = {"ready": not failing, "failing": failing, "degraded": await probes.degraded()}
        return JSONResponse(body, 503 if failing else 200)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    app.add_route("/livez", livez)
    app.add_route("/readyz", readyz)
    app.add_route("/metrics", metrics)
