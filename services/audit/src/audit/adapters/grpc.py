"""AuditService: translate, call, translate back."""

from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

from grpc.aio import ServicerContext

from audit.adapters.keys import Ed25519Verifier
from audit.application.queries import Leaf, Proofs, Proven, Signed
from audit.domain import record
from audit.domain.checkpoint import origin_of
from bayline.audit.v1 import audit_service_pb2 as pb
from bayline.audit.v1 import checkpoint_pb2
from bayline.audit.v1.audit_service_pb2_grpc import AuditServiceServicer
from bayline.event.v1.metadata_pb2 import Metadata
from eventstore.conversion import timestamp_of
from runtime import pages
from runtime.asking import asking
from runtime.policy import Policies

Context: TypeAlias = ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class AuditServicer(AuditServiceServicer):
    proofs: Proofs
    verifier: Ed25519Verifier
    policies: Policies

    async def GetAuditLog(  # noqa: N802 -- the RPC's name
        self, request: pb.GetAuditLogRequest, context: Context
    ) -> pb.AuditLog:
        tenant = self._tenant()
        return pb.AuditLog(
            origin=origin_of(self.verifier.name, tenant),
            verifier_key=self.verifier.line,
            checkpoint=checkpoint_message(await self.proofs.latest(tenant)),
        )

    async def ListAuditRecords(  # noqa: N802 -- the RPC's name
        self, request: pb.ListAuditRecordsRequest, context: Context
    ) -> pb.ListAuditRecordsResponse:
        tenant, after = self._tenant(), pages.opened(request)
        stream = UUID(request.resource.rpartition("/")[2]) if request.resource else None
        first, size = int(after[0]) if after else 0, pages.size_of(request)
        found, more, checkpoint = await self.proofs.page(tenant, stream, first, size)
        return pb.ListAuditRecordsResponse(
            records=[_proven(each, checkpoint) for each in found],
            next_page_token="" if more is None else pages.sealed(request, str(more), ""),
        )

    async def GetAuditRecord(  # noqa: N802 -- the RPC's name
        self, request: pb.GetAuditRecordRequest, context: Context
    ) -> pb.ProvenRecord:
        event = UUID(request.name.rpartition("/")[2])
        return _proven(*await self.proofs.of_event(self._tenant(), event))

    async def ProveConsistency(  # noqa: N802 -- the RPC's name
        self, request: pb.ProveConsistencyRequest, context: Context
    ) -> pb.Consistency:
        proof, checkpoint = await self.proofs.consistency(self._tenant(), request.size)
        return pb.Consistency(proof=proof, checkpoint=checkpoint_message(checkpoint))

    def _tenant(self) -> str:
        """Whose log is asked for; raises a `Forbidden` unless the caller may read it."""
        asker = asking(self.policies)
        asker.require()
        return asker.tenant


def checkpoint_message(signed: Signed) -> checkpoint_pb2.Checkpoint:
    return checkpoint_pb2.Checkpoint(
        size=signed.size, root=signed.root, note=signed.note, at=timestamp_of(signed.at)
    )


def _proven(found: Proven, checkpoint: Signed) -> pb.ProvenRecord:
    return pb.ProvenRecord(
        record=record_message(found.leaf),
        proof=found.proof,
        checkpoint=checkpoint_message(checkpoint),
    )


def record_message(leaf: Leaf) -> pb.AuditRecord:
    """Headers are told in words; the payload stays bytes."""
    found = record.read(leaf.record)
    meta = Metadata.FromString(found.header("bayline-meta"))
    message = pb.AuditRecord(
        name=f"auditRecords/{UUID(bytes=found.place.event_id)}",
        record=leaf.record,
        topic=found.place.topic,
        type=found.header("ce_type").decode(),
        index=leaf.index,
        stream=str(UUID(bytes=found.place.stream)),
        version=int(found.header("ce_streamver")),
        actor=meta.actor,
        correlation_id=meta.correlation_id,
    )
    message.occurred_at.FromJsonString(found.header("ce_time").decode())
    message.recorded_at.FromJsonString(found.header("ce_recordedat").decode())
    return message
