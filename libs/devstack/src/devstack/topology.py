"""The one table of what runs: processes, ports, databases, topics. All else is derived from it."""

from dataclasses import dataclass

from assembly.topics import logs, owner_of

__all__ = ["logs", "owner_of"]

AUDIENCE = "bayline"
WEB_CLIENT = "bayline-web"
PARTITIONS = 16
CHECKPOINTS = "bayline.audit.v1.Checkpoint"
LOCAL_ORIGINS = tuple(  # where a frontend under development is usually served
    f"http://{host}:{port}" for host in ("localhost", "127.0.0.1") for port in (3000, 4173, 5173)
)

POSTGRES_PORT = 8032
ISSUER_PORT = 8090
KAFKA_PORT = 8092
CONTROLLER_PORT = 8093
AUDIT_JOB_PORT = 8214  # of `bayline audit verify --every`: how long ago all of it held


@dataclass(frozen=True, slots=True)
class Service:
    """A process of ours, `python -m <name>`. `port` is what its callers use.

    `stores`: it has a database; `event_sourced`: there is an event log in it.
    """

    name: str
    port: int
    admin_port: int
    peers: tuple[str, ...] = ()
    event_sourced: bool = True
    stores: bool = True
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
AUDIT = Service(
    "audit", 8104, 8204, peers=("workshop", "vehicle", "technician", "keyring"), event_sourced=False
)
GATEWAY = Service(
    "gateway",
    8080,
    8200,
    peers=("workshop", "vehicle", "technician", "keyring", "audit"),
    event_sourced=False,
    stores=False,
    what="REST, /docs",
)

SERVICES = (WORKSHOP, VEHICLE, TECHNICIAN, KEYRING, AUDIT, GATEWAY)
STORING = tuple(service for service in SERVICES if service.stores)
EVENT_SOURCED = tuple(service for service in SERVICES if service.event_sourced)


def service(name: str) -> Service:
    return next(service for service in SERVICES if service.name == name)


def topics() -> tuple[str, ...]:
    """Every log, and the checkpoints that prove them."""
    return (*logs(), CHECKPOINTS)
