import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from audit.adapters.keys import Ed25519Verifier
from audit.application.proving import Proof, check_growth, check_proof
from audit.domain.checkpoint import opened
from audit.main import main
from audit.settings import Settings
from bayline.audit.v1 import audit_service_pb2 as pb
from bayline.audit.v1.audit_service_pb2_grpc import AuditServiceStub
from kernel.ids import Uuid7
from runtime.errors import Problem, problem_of
from services.audit.tests.adapters.archive import SIGNER, Archive
from testkit.grpc_service import HOST, KEY, Client, serving
from testkit.tokens import Issuer, JwksServer

pytestmark = pytest.mark.integration

IDS = Uuid7()


@dataclass
class Office:
    """Where auditors of acme ask, and others are turned away."""

    stub: AuditServiceStub
    issuer: Issuer

    async def ask(
        self,
        rpc: str,
        *,
        role: str = "auditor",
        tenant: str = "acme",
        site: str = "*",
        **fields: Any,
    ) -> Any:
        client = Client(self.issuer.token(tenant=tenant, roles=[role], sites=[site]))
        request = getattr(pb, f"{rpc}Request")(**fields)
        return (await client.ask(getattr(self.stub, rpc), request)).message

    async def refusal(self, rpc: str, **fields: Any) -> Problem:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await self.ask(rpc, **fields)
        return problem_of(refused.value)


def settings(archive: Archive, issuer: Issuer, keys: JwksServer, folder: Path) -> Settings:
    database = archive.database
    nobody = f"{HOST}:1"
    return Settings(
        admin={"port": 0},
        identity=issuer.settings(keys.url).model_dump(),
        workload={"token_url": f"http://{nobody}", "client_id": "audit", "client_secret": "x"},
        cursor_key=KEY,
        fingerprint_key=KEY,
        peers=dict.fromkeys(("workshop", "vehicle", "technician", "keyring"), nobody),
        database={
            "app_dsn": database.app_dsn,
            "projector_dsn": database.projector_dsn,
            "relay_dsn": database.relay_dsn,
        },
        kafka={"bootstrap": nobody},
        grpc={"port": 0},
        signing={"name": SIGNER.name, "key": base64.b64encode(SIGNER.seed).decode()},
        anchor_file=folder / "checkpoints.ndjson",
    )


@pytest.fixture
async def office(archive: Archive, tmp_path: Path) -> AsyncIterator[Office]:
    issuer = Issuer()
    async with AsyncExitStack() as stack:
        keys = await stack.enter_async_context(JwksServer(issuer))
        found = settings(archive, issuer, keys, tmp_path)
        service = await stack.enter_async_context(serving(main, found))
        channel = grpc.aio.insecure_channel(f"{HOST}:{service.port}")
        await stack.enter_async_context(channel)
        yield Office(AuditServiceStub(channel), issuer)


def paper(found: pb.ProvenRecord) -> Proof:
    record = found.record
    return Proof(record.record, record.index, list(found.proof), found.checkpoint.note)


async def test_an_auditor_reads_who_did_what_to_a_job_and_can_prove_it(
    archive: Archive, office: Office
) -> None:
    job = IDS.new()
    told = [archive.written.append(job, b"%d" % number) for number in range(4)]
    await archive.sequence([*archive.happened(5), *told[:2], *archive.happened(3), *told[2:]])
    await archive.sign()

    found = await office.ask("ListAuditRecords", resource=f"jobs/{job}")

    assert [
        (each.record.name, each.record.version, each.record.actor, each.record.type)
        for each in found.records
    ] == [
        (f"auditRecords/{event.event_id}", event.version, "users/1", event.type) for event in told
    ]
    assert [each.record.index for each in found.records] == [5, 6, 10, 11]
    for each in found.records:
        record, checkpoint = check_proof(paper(each), SIGNER.verifier())
        assert checkpoint.size == 12
        assert record.place.stream == job.bytes


async def test_a_record_is_found_by_its_event(archive: Archive, office: Office) -> None:
    [*_, last] = events = archive.happened(9)
    await archive.sequence(events)
    await archive.sign()

    found = await office.ask("GetAuditRecord", name=f"auditRecords/{last.event_id}")

    record, _ = check_proof(paper(found), SIGNER.verifier())
    assert record.value == last.data
    assert found.record.occurred_at.ToDatetime() == last.occurred_at.replace(tzinfo=None)


async def test_pages_show_the_whole_log_once(archive: Archive, office: Office) -> None:
    await archive.sequence(archive.happened(23))
    await archive.sign()

    indices: list[int] = []
    token = ""
    while not indices or token:
        page = await office.ask("ListAuditRecords", page_size=10, page_token=token)
        indices += [each.record.index for each in page.records]
        token = page.next_page_token

    assert indices == list(range(23))


async def test_the_log_says_its_name_its_key_and_its_latest_checkpoint(
    archive: Archive, office: Office
) -> None:
    await archive.sequence(archive.happened(5))
    await archive.sign()

    found = await office.ask("GetAuditLog")

    checkpoint = opened(found.checkpoint.note, Ed25519Verifier.read(found.verifier_key))
    assert (checkpoint.origin, checkpoint.size) == (found.origin, 5)
    assert checkpoint.root == found.checkpoint.root


async def test_a_checkpoint_kept_from_before_is_proved_to_begin_the_log(
    archive: Archive, office: Office
) -> None:
    await archive.sequence(archive.happened(5))
    await archive.sign()
    before = await office.ask("GetAuditLog")
    await archive.sequence(archive.happened(6))
    await archive.sign()

    found = await office.ask("ProveConsistency", size=before.checkpoint.size)

    notes = before.checkpoint.note, found.checkpoint.note
    first, second = check_growth(*notes, list(found.proof), SIGNER.verifier())
    assert (first.size, second.size) == (5, 11)


async def test_another_tenant_sees_nothing_of_it(archive: Archive, office: Office) -> None:
    [event] = archive.happened(1)
    await archive.sequence([event, *archive.happened(2, "globex")])
    await archive.sign()

    listed = await office.ask("ListAuditRecords", tenant="globex")
    name = f"auditRecords/{event.event_id}"
    refused = await office.refusal("GetAuditRecord", tenant="globex", name=name)

    assert len(listed.records) == 2
    assert refused.reason == "AUDIT_RECORD_NOT_FOUND"


@pytest.mark.parametrize(
    "who", [{"role": "service_manager"}, {"role": "analyst"}, {"site": "north"}]
)
async def test_only_auditors_of_all_sites_read_the_log(office: Office, who: dict[str, str]) -> None:
    refused = await office.refusal("GetAuditLog", **who)

    assert refused.reason == "PERMISSION_DENIED"


async def test_nothing_is_shown_before_it_is_signed(archive: Archive, office: Office) -> None:
    [event] = archive.happened(1)
    await archive.sequence([event])

    assert (await office.refusal("GetAuditLog")).reason == "CHECKPOINT_NOT_SIGNED"

    await archive.sign()
    [late] = archive.happened(1)
    await archive.sequence([late])
    name = f"auditRecords/{late.event_id}"
    assert (await office.refusal("GetAuditRecord", name=name)).reason == "AUDIT_RECORD_NOT_FOUND"
    assert len((await office.ask("ListAuditRecords")).records) == 1


async def test_a_size_the_log_never_had_is_refused(archive: Archive, office: Office) -> None:
    await archive.sequence(archive.happened(3))
    await archive.sign()

    assert (await office.refusal("ProveConsistency", size=4)).reason == "SIZE_BEYOND_LOG"
