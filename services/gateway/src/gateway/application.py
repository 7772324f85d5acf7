"""The FastAPI application: routes out of the contracts, and what stands around them."""

from collections.abc import Iterable, Mapping

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.telemetry import TelemetryConfig
from google.protobuf.descriptor import Descriptor, ServiceDescriptor
from starlette.types import ASGIApp

from gateway import asyncapi, docs, openapi, problems
from gateway.door import Door
from gateway.edge import Edge
from gateway.identity import Doorkeeper
from gateway.operations import mount_probes
from gateway.problems import Problems
from gateway.refusals import Refusals
from gateway.settings import Settings
from gateway.telemetry import Measured
from kernel.ids import IdGenerator
from runtime.admin import Probes
from transcoding.handlers import Handler
from transcoding.routes import mount

EXPOSED = (
    "ETag",
    "Bayline-Position",
    "Idempotency-Replayed",
    "Bayline-Correlation-Id",
    "Retry-After",
)
ACCEPTED = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Bayline-After",
    "Bayline-Correlation-Id",
    "Last-Event-ID",
    "traceparent",
)

OURS_ALONE: TelemetryConfig = {  # FastAPI's would count twice, and put queries (plates, VINs) on spans
    "tracing": False,
    "metrics": False,
    "logs": False,
    "auto_configure": False,
}


def build(
    settings: Settings,
    services: Mapping[ServiceDescriptor, Handler],
    records: Iterable[Descriptor],
    probes: Probes,
    ids: IdGenerator,
    keeper: Doorkeeper,
    refusals: Refusals,
    *,
    traces: bool = False,
) -> ASGIApp:
    """Nobody writes a route by hand: all of /v1 comes from the descriptors."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, telemetry=OURS_ALONE)
    entries = problems.catalogue()
    rendered = Problems(settings.http.public_base, entries, refusals)
    problems.install(app, rendered)
    mount(app, services, problem=rendered.of_stream, admit=keeper.admit)
    mount_probes(app, probes)
    contract = openapi.build(services, entries, settings.login)
    events = asyncapi.build(records, settings.http.public_broker)
    docs.mount(app, contract, events, entries, settings.login)
    app.add_middleware(Door, keeper=keeper, problems=rendered, settings=settings.http)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.http.cors_origins,
        allow_methods=["GET", "POST"],
        allow_headers=ACCEPTED,
        expose_headers=EXPOSED,
        max_age=600,
    )
    return Edge(
        Measured(app, traces=traces),
        ids=ids,
        https=settings.http.public_base.startswith("https:"),
        login=settings.login.token_url,
    )
