"""The parts of the audit service, and how they are put together."""

from assembly.logs import Logs, PeerLog
from assembly.topics import logs, owner_of
from audit.adapters.anchors import FileAnchor, TopicAnchor
from audit.adapters.grpc import AuditServicer
from audit.adapters.keys import Ed25519Signer
from audit.adapters.ledger import PostgresLedger
from audit.adapters.postgres import PostgresLog
from audit.adapters.sequencer import Sequencer
from audit.adapters.signing import Signing
from audit.application.notary import Notary
from audit.application.queries import Proofs
from audit.settings import Settings
from bayline.audit.v1.audit_service_pb2_grpc import add_AuditServiceServicer_to_server
from messaging.consumer import Consumer
from runtime.database import REPEATABLE, Pool
from runtime.service import Service

MOST_RECORDS = 2_000  # in one transaction
REST_SECONDS = 0.1  # after fewer: each transaction waits for the disk


async def main(settings: Settings, service: Service) -> None:
    app = await service.pool(settings.database.app_dsn, "database")
    projector = settings.database.projector_dsn
    log = await service.pool(projector, "log", limits=REPEATABLE)
    ledger = await service.pool(projector, "ledger")  # what it commits makes the log before it last
    signer = Ed25519Signer(settings.signing.name, settings.signing.key.get_secret_value())
    service.run(_consumer(settings, service, log))
    signing = Signing(await _notary(settings, service, ledger, signer))
    service.run(signing)
    service.ready("checkpoints", signing.complaint)
    service.grpc(
        add_AuditServiceServicer_to_server,
        AuditServicer(Proofs(PostgresLog(app)), signer.verifier(), service.policies),
    )


def _consumer(settings: Settings, service: Service, log: Pool) -> Consumer:
    """Of every log there is; nothing is ever parked."""
    peers = {owner: PeerLog(service.peer(owner)) for owner in set(map(owner_of, logs()))}
    return Consumer(
        settings.kafka,
        log,
        name=Sequencer.name,
        topics=logs(),
        projection=Sequencer(),
        backfill=Logs({name: peers[owner_of(name)] for name in logs()}),
        parks=False,
        pace=REST_SECONDS,
        most=MOST_RECORDS,
    )


async def _notary(
    settings: Settings, service: Service, ledger: Pool, signer: Ed25519Signer
) -> Notary:
    file = FileAnchor.read(settings.anchor_file, signer.verifier(), service.clock)
    topic = await service.enter(TopicAnchor(settings.kafka, service.clock))
    return Notary(PostgresLedger(ledger, signer.name), signer, file, [topic])
