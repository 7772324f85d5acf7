"""Keys over gRPC: the promises of every keyring, and who is refused which."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import grpc
import pytest

from assembly.keys import MOST_SUBJECTS, PeerKeys
from bayline.keyring.v1 import key_service_pb2 as pb
from bayline.keyring.v1.key_service_pb2_grpc import KeyServiceStub
from devstack import topology
from devstack.ports import free_port
from eventstore.keyring import InMemoryKeyring, KeyringUnavailable
from runtime.errors import problem_of
from runtime.grpc import channel
from runtime.settings import Grpc, Workload
from runtime.workload import WorkloadTokens
from testkit.keys import a_keyring
from testkit.store_contract import NORTH, SubjectKeysContract
from testkit.tokens import Issuer, JwksServer

WORKLOADS = [service.name for service in topology.SERVICES]
KINDS = ("jobs", "technicians", "vehicles", "sites", "borrowers")
KNOWS = {("workshop", "jobs"), ("technician", "technicians")}


@dataclass
class Ring:
    """A keyring, what it keeps, and services that come to it with tokens of their own."""

    stack: AsyncExitStack
    session: aiohttp.ClientSession
    tokens: JwksServer
    issuer: Issuer
    kept: InMemoryKeyring = field(default_factory=InMemoryKeyring)

    async def opened(self, port: int = 0) -> str:
        identity = self.issuer.settings(self.tokens.url)
        ring = a_keyring(identity, self.kept, Grpc(port=port))
        return await self.stack.enter_async_context(ring)

    async def channel(self, target: str, workload: str) -> grpc.aio.Channel:
        settings = Workload(token_url=self.tokens.token_url, client_id=workload, client_secret="x")
        opened = channel(target, WorkloadTokens(settings, self.session))
        return await self.stack.enter_async_context(opened)


@dataclass
class Through(PeerKeys):
    """The keys of a peer, and forgetting where they are kept: no peer may do that."""

    channel: grpc.aio.Channel
    kept: InMemoryKeyring

    def __post_init__(self) -> None:
        super().__init__(self.channel)

    async def forget(self, tenant: str, subject: str) -> None:
        await self.kept.forget(tenant, subject)


@pytest.fixture
async def ring() -> AsyncIterator[Ring]:
    issuer = Issuer()
    async with (
        AsyncExitStack() as stack,
        aiohttp.ClientSession() as session,
        JwksServer(issuer) as tokens,
    ):
        yield Ring(stack, session, tokens, issuer)
        await stack.aclose()


class TestPeerKeys(SubjectKeysContract):
    @pytest.fixture
    async def keys(self, ring: Ring) -> Through:
        return Through(await ring.channel(await ring.opened(), "workshop"), ring.kept)


async def _outcome(stub: Any, subjects: Collection[str]) -> set[str]:
    """Of both questions, the same for each."""
    [subject, *_] = subjects
    asked = (
        stub.UnwrapKeys(pb.UnwrapKeysRequest(tenant=NORTH, subjects=subjects)),
        stub.CreateKey(pb.CreateKeyRequest(tenant=NORTH, subject=subject)),
    )
    found = set()
    for call in asked:
        try:
            await call
            found.add("OK")
        except grpc.aio.AioRpcError as error:
            found.add(problem_of(error).reason)
    return found


async def test_a_service_has_the_keys_of_the_kinds_it_may_know_and_no_others(ring: Ring) -> None:
    target = await ring.opened()
    outcomes = {}
    for workload in (*WORKLOADS, "stranger"):
        stub = KeyServiceStub(await ring.channel(target, workload))
        for kind in KINDS:
            outcomes[workload, kind] = await _outcome(stub, [f"{kind}/1"])

    allowed = {pair for pair, outcome in outcomes.items() if outcome == {"OK"}}
    refused = {pair for pair, outcome in outcomes.items() if outcome == {"PERMISSION_DENIED"}}

    assert allowed == KNOWS
    assert refused == outcomes.keys() - KNOWS


async def test_one_subject_of_another_kind_is_one_too_many(ring: Ring) -> None:
    stub = KeyServiceStub(await ring.channel(await ring.opened(), "workshop"))
    asked = pb.UnwrapKeysRequest(tenant=NORTH, subjects=["jobs/1", "technicians/1"])

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.UnwrapKeys(asked)

    assert problem_of(refused.value).reason == "PERMISSION_DENIED"


async def test_a_person_has_no_keys_whatever_his_roles(ring: Ring) -> None:
    token = ring.issuer.token(roles=["admin"], sites=["*"])
    async with channel(await ring.opened()) as opened:
        asked = KeyServiceStub(opened).UnwrapKeys(
            pb.UnwrapKeysRequest(tenant=NORTH, subjects=["jobs/1"]),
            metadata=(("authorization", f"Bearer {token}"),),
        )

        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await asked

    assert problem_of(refused.value).reason == "WORKLOAD_REQUIRED"


async def test_more_subjects_than_one_question_may_have_are_several_questions(ring: Ring) -> None:
    opened = await ring.channel(await ring.opened(), "workshop")
    subjects = [f"jobs/{number}" for number in range(MOST_SUBJECTS + 1)]
    made = {subject: await ring.kept.create(NORTH, subject) for subject in subjects}
    stub = KeyServiceStub(opened)

    most = await stub.UnwrapKeys(pb.UnwrapKeysRequest(tenant=NORTH, subjects=subjects[1:]))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.UnwrapKeys(pb.UnwrapKeysRequest(tenant=NORTH, subjects=subjects))

    assert len(most.keys) == MOST_SUBJECTS
    assert problem_of(refused.value).reason == "REQUEST_INVALID"
    assert await PeerKeys(opened).unwrap(NORTH, subjects) == made


async def test_a_keyring_that_does_not_answer_says_so(ring: Ring) -> None:
    keys = PeerKeys(await ring.channel(f"127.0.0.1:{free_port()}", "workshop"))

    outcomes = await asyncio.gather(
        keys.unwrap(NORTH, ["jobs/1"]), keys.create(NORTH, "jobs/1"), return_exceptions=True
    )

    assert [type(each) for each in outcomes] == [KeyringUnavailable] * 2


async def test_a_keyring_that_is_being_started_is_waited_for(ring: Ring) -> None:
    port = free_port()
    opened = await ring.channel(f"127.0.0.1:{port}", "workshop")
    await _given_up_once(opened)

    made, _ = await asyncio.gather(PeerKeys(opened).create(NORTH, "jobs/1"), ring.opened(port))

    assert made == (await ring.kept.unwrap(NORTH, ["jobs/1"]))["jobs/1"]


async def _given_up_once(opened: grpc.aio.Channel) -> None:
    """A call that does not wait would fail at once now."""
    state = opened.get_state(try_to_connect=True)
    while state is not grpc.ChannelConnectivity.TRANSIENT_FAILURE:
        await opened.wait_for_state_change(state)
        state = opened.get_state()
