"""Health on the public port, as the platform's probes expect it."""

from fastapi import FastAPI, Request, Response
from starlette.responses import JSONResponse

from runtime.admin import Probes


def mount_probes(app: FastAPI, probes: Probes) -> None:
    """/livez says that the process answers, /readyz that it can do its work.

    Anybody may ask here, so it says what is wrong and not why: that is on the admin port.
    """

    async def livez(_: Request) -> Response:
        return JSONResponse({"alive": True})

    async def readyz(_: Request) -> Response:
        failing, degraded = await probes.failing(), await probes.degraded()
        body = {"ready": not failing, "failing": sorted(failing), "degraded": sorted(degraded)}
        return JSONResponse(body, 503 if failing else 200)

    app.add_route("/livez", livez)
    app.add_route("/readyz", readyz)
