"""The one table of what runs: processes, ports, databases, topics. All else is derived from it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from google.protobuf.descriptor_pb2 import FileDescriptorSet

AUDIENCE = "bayline"
WEB_CLIENT = "bayline-web"
PARTITIONS = 16
LOCAL_ORIGINS = tuple(  # where a frontend under development is usually served
    f"http://{host}:{port}" for host in ("localhost", "127.0.0.1") for port in (3000, 4173, 5173)
)

POSTGRES_PORT = 8032
ISSUER_PORT = 8090
KAFKA_PORT = 8092
CONTROLLER_PORT = 8093


@dataclass(frozen=True, slots=True)
class Service:
    """A process of ours, `python -m <name>`. `port` is what its callers use."""

    name: str
    port: int
    admin_port: int
    peers: tuple[str, ...] = ()
    event_sourced: bool = True
    what: str = "gRPC"

    @property
    def prefix(self) -> str:
        return f"{self.name.upper()}__"

    @property
    def ports(self) -> tuple[int, int]:
        return self.port, self.admin_port


WORKSHOP = Service("workshop", 8101, 8201, peers=("vehicle", "technician", "keyring"))
VEHICLE = Service("vehicle", 8102, 8202, peers=("workshop",))
TECHNICIAN = Service("technician", 8103, 8203, peers=("workshop", "keyring"))
KEYRING = Service("keyring", 8109, 8209)
GATEWAY = Service(
    "gateway",
    8080,
    8200,
    peers=("workshop", "vehicle", "technician", "keyring"),
    event_sourced=False,
    what="REST, /docs",
)

SERVICES = (WORKSHOP, VEHICLE, TECHNICIAN, KEYRING, GATEWAY)
EVENT_SOURCED = tuple(service for service in SERVICES if service.event_sourced)


def service(name: str) -> Service:
    return next(service for service in SERVICES if service.name == name)


@cache
def logs() -> tuple[str, ...]:
    """Every event log, and so every topic: the messages that hold one `event` out of several."""
    described = FileDescriptorSet.FromString(
        files("bayline").joinpath("descriptors.binpb").read_bytes()
    )
    return tuple(sorted(_record_messages(described)))


def _record_messages(described: FileDescriptorSet) -> Iterator[str]:
    for file in described.file:
        for message in file.message_type:
            if any(oneof.name == "event" for oneof in message.oneof_decl):
                yield f"{file.package}.{message.name}"


def owner_of(log: str) -> str:
    """The service whose database holds the log: `bayline.workshop.v1.JobEvent` -> workshop."""
    return log.split(".")[1]
