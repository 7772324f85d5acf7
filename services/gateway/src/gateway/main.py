"""The gateway's parts: contracts in, routes out; identity, problems and streams around them."""

from collections.abc import Mapping
from itertools import chain

from google.protobuf.descriptor import Descriptor, ServiceDescriptor

from bayline.audit.v1 import audit_service_pb2
from bayline.gateway.v1 import gateway_service_pb2
from bayline.keyring.v1 import keyring_service_pb2, subject_pb2
from bayline.technician.v1 import technician_pb2, technician_service_pb2
from bayline.vehicle.v1 import vehicle_pb2, vehicle_service_pb2
from bayline.workshop.v1 import events_pb2, site_pb2, workshop_service_pb2
from gateway import application, limits
from gateway.http import HttpServer
from gateway.identity import Doorkeeper
from gateway.live.hub import Hub
from gateway.live.source import Source
from gateway.live.streams import Streams
from gateway.refusals import Refusals
from gateway.settings import Settings
from gateway.telemetry import Traced
from runtime.policy import Policies
from runtime.service import Service
from transcoding.handlers import GrpcHandler, Handler

PEERS: Mapping[str, ServiceDescriptor] = {
    "workshop": workshop_service_pb2.DESCRIPTOR.services_by_name["WorkshopService"],
    "vehicle": vehicle_service_pb2.DESCRIPTOR.services_by_name["VehicleService"],
    "technician": technician_service_pb2.DESCRIPTOR.services_by_name["TechnicianService"],
    "keyring": keyring_service_pb2.DESCRIPTOR.services_by_name["KeyringService"],
    "audit": audit_service_pb2.DESCRIPTOR.services_by_name["AuditService"],
}
OWN: ServiceDescriptor = gateway_service_pb2.DESCRIPTOR.services_by_name["GatewayService"]
RECORDS: Mapping[str, tuple[Descriptor, ...]] = {
    "workshop": (
        events_pb2.JobEvent.DESCRIPTOR,
        site_pb2.SiteEvent.DESCRIPTOR,
        site_pb2.TenantEvent.DESCRIPTOR,
    ),
    "vehicle": (vehicle_pb2.VehicleEvent.DESCRIPTOR,),
    "technician": (technician_pb2.TechnicianEvent.DESCRIPTOR,),
    "keyring": (subject_pb2.SubjectEvent.DESCRIPTOR,),
}


async def main(settings: Settings, service: Service) -> None:
    policies = Policies.load(*(f"bayline/{name}/v1/policies.cedar" for name in (*PEERS, "gateway")))
    policies.check_names(
        f"{each.full_name}/{method.name}"
        for each in (*PEERS.values(), OWN)
        for method in each.methods
    )
    channels = {
        record.full_name: channel
        for name in RECORDS
        for channel in [service.peer(name)]
        for record in RECORDS[name]
    }
    hub = Hub(settings.kafka, list(channels))
    streams = Streams(hub, Source(channels), service.seals, policies, service.clock)
    handlers: dict[ServiceDescriptor, Handler] = {
        descriptor: _peer(service, name) for name, descriptor in PEERS.items()
    }
    handlers[OWN] = streams
    limiter = await service.enter(limits.limiter(settings.limits))
    at_once = limits.AtOnce(settings.limits)
    refusals = Refusals()
    app = application.build(
        settings,
        handlers,
        chain.from_iterable(RECORDS.values()),
        service.probes,
        service.ids,
        Doorkeeper(service.verifier, limiter, at_once, policies),
        refusals,
        traces=service.traces,
    )
    service.ready("live-tail", hub.check)
    service.run(hub)
    service.run(refusals)
    service.run(HttpServer(app, settings.http))


def _peer(service: Service, name: str) -> Handler:
    handler = GrpcHandler(service.channel(name))
    return Traced(handler, service.settings.peers[name]) if service.traces else handler
