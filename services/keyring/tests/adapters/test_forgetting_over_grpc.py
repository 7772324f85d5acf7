# mypy: disable-error-code="arg-type"
"""A person is forgotten: one event, and the key is gone with it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import grpc
import psycopg
import pytest

from bayline.keyring.v1 import key_service_pb2 as key_pb
from bayline.keyring.v1 import keyring_service_pb2 as pb
from bayline.keyring.v1.key_service_pb2_grpc import KeyServiceStub
from bayline.keyring.v1.keyring_service_pb2_grpc import KeyringServiceStub
from eventstore.keyring import PostgresKeyring, SubjectForgotten
from kernel.ids import Uuid7
from keyring.main import main
from keyring.settings import Settings
from runtime import database as databases
from runtime.errors import Problem, problem_of
from runtime.migrate import migrate
from testkit.grpc_service import KEY, Client, Reply, serving, settings_for
from testkit.servers import NewDatabase
from testkit.tokens import Issuer, JwksServer

pytestmark = pytest.mark.integration

IDS = Uuid7()
RACERS = 20


@dataclass
class Office:
    stub: KeyringServiceStub
    key_stub: KeyServiceStub
    issuer: Issuer
    keys: PostgresKeyring
    superuser_dsn: str
    tenant: str = field(default_factory=lambda: f"t-{IDS.new()}")

    async def ask(
        self, rpc: str, *, role: str = "admin", sites: tuple[str, ...] = ("*",), **fields: Any
    ) -> Reply[Any]:
        token = self.issuer.token(tenant=self.tenant, roles=[role], sites=sites, subject=role)
        fields.setdefault("request_id", str(IDS.new()))
        return await Client(token).ask(
            getattr(self.stub, rpc), getattr(pb, f"{rpc}Request")(**fields)
        )

    async def refusal(self, rpc: str, **fields: Any) -> Problem:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await self.ask(rpc, **fields)
        return problem_of(refused.value)

    async def somebody(self, kind: str = "technicians") -> str:
        """With a key, as the first words about him or her make one."""
        name = f"{kind}/{IDS.new()}"
        await self.keys.create(self.tenant, name)
        return name

    def events_of(self, name: str) -> int:
        with psycopg.connect(self.superuser_dsn) as connection:
            query = "SELECT count(*) FROM es.event WHERE stream = %s"
            ((count,),) = connection.execute(query, [UUID(name.rpartition("/")[2])]).fetchall()
        return int(count)


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
async def office(database: NewDatabase, issuer: Issuer) -> AsyncIterator[Office]:
    keyring = database("keyring")
    migrate(keyring.superuser_dsn, "keyring")
    settings = settings_for(Settings, keyring, issuer, "", kek=KEY)
    async with AsyncExitStack() as stack:
        jwks = await stack.enter_async_context(JwksServer(issuer))
        found = settings.model_copy(update={"identity": issuer.settings(jwks.url)})
        service = await stack.enter_async_context(serving(main, found))
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{service.port}")
        await stack.enter_async_context(channel)
        pool = await stack.enter_async_context(databases.pool(found.database.app_dsn, size=2))
        keys = PostgresKeyring(pool, found.kek.get_secret_value())
        stubs = KeyringServiceStub(channel), KeyServiceStub(channel)
        yield Office(*stubs, issuer, keys, keyring.superuser_dsn)


@pytest.mark.parametrize(("rpc", "kind"), [("ErasePerson", "technicians"), ("RedactJob", "jobs")])
async def test_the_key_is_destroyed_when_the_answer_is_there(
    office: Office, rpc: str, kind: str
) -> None:
    name, other = await office.somebody(kind), await office.somebody(kind)

    subject = (await office.ask(rpc, name=name, reference="DPO-117")).message

    assert (subject.name, subject.forgotten, subject.reference) == (name, True, "DPO-117")
    held = await office.keys.unwrap(office.tenant, {name, other})
    assert (held[name], held[other] is not None) == (None, True)
    with pytest.raises(SubjectForgotten):
        await office.keys.create(office.tenant, name)


async def test_no_service_gets_the_key_of_whoever_was_forgotten(office: Office) -> None:
    ada = await office.somebody()
    service = Client(office.issuer.workload_token("technician"))
    asked = key_pb.UnwrapKeysRequest(tenant=office.tenant, subjects=[ada])
    [before] = (await service.ask(office.key_stub.UnwrapKeys, asked)).message.keys

    await office.ask("ErasePerson", name=ada)

    [after] = (await service.ask(office.key_stub.UnwrapKeys, asked)).message.keys
    assert (len(before.secret), after) == (32, key_pb.SubjectKey(subject=ada))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await service.ask(
            office.key_stub.CreateKey,
            key_pb.CreateKeyRequest(tenant=office.tenant, subject=ada),
        )
    assert problem_of(refused.value).reason == "SUBJECT_FORGOTTEN"


async def test_many_who_forget_one_person_at_once_leave_one_event(office: Office) -> None:
    ada = await office.somebody()

    answers = await asyncio.gather(*(office.ask("ErasePerson", name=ada) for _ in range(RACERS)))

    assert {answer.message.forgotten for answer in answers} == {True}
    assert office.events_of(ada) == 1


async def test_only_an_administrator_of_all_sites_may_forget(office: Office) -> None:
    ada = await office.somebody()

    reasons = {
        (await office.refusal("ErasePerson", name=ada, role=role, sites=sites)).reason
        for role, sites in [("service_manager", ("*",)), ("auditor", ("*",)), ("admin", ("s-1",))]
    }

    assert reasons == {"PERMISSION_DENIED"}
    assert office.events_of(ada) == 0


async def test_a_person_nobody_knows_and_a_person_of_another_tenant_are_not_found(
    office: Office,
) -> None:
    stranger = f"technicians/{IDS.new()}"
    ada = await office.somebody()
    mine, office.tenant = office.tenant, "t-other"

    unknown = await office.refusal("ErasePerson", name=stranger)
    foreign = await office.refusal("ErasePerson", name=ada)

    assert {unknown.reason, foreign.reason} == {"SUBJECT_NOT_FOUND"}
    assert (await office.keys.unwrap(mine, {ada}))[ada] is not None


async def test_a_reference_is_an_id_and_not_words(office: Office) -> None:
    ada = await office.somebody()

    refused = await office.refusal("ErasePerson", name=ada, reference="because Ada asked for it")

    assert refused.reason == "REQUEST_INVALID"
