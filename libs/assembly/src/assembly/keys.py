"""Keys of subjects from the keyring, by gRPC: as they are used, not as they are kept."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Self

import grpc
import grpc.aio
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

from bayline.keyring.v1 import key_service_pb2 as pb
from bayline.keyring.v1.key_service_pb2_grpc import KeyServiceStub
from eventstore.keyring import Key, SubjectForgotten, forgotten, silent
from runtime.errors import problem_of
from runtime.service import Service

KEYRING = "keyring"
PATIENCE_SECONDS = 2.0  # a keyring that is started again meanwhile is no news
MOST_SUBJECTS = 1000  # of one question, says the contract
SILENT = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})


class PeerKeys:
    """`eventstore.keyring.SubjectKeys` of the kinds that the keyring's policies give this service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = KeyServiceStub(channel)

    @classmethod
    def of(cls, service: Service) -> Self:
        """The keyring must answer for the service to be ready."""
        health = HealthStub(service.channel(KEYRING))

        async def answers() -> None:
            try:
                await health.Check(HealthCheckRequest(), timeout=1)
            except grpc.aio.AioRpcError as error:
                raise silent() from error

        service.ready(KEYRING, answers)
        return cls(service.peer(KEYRING))

    async def unwrap(self, tenant: str, subjects: Collection[str]) -> Mapping[str, Key | None]:
        asked = sorted(subjects)
        known: dict[str, Key | None] = {}
        for begin in range(0, len(asked), MOST_SUBJECTS):
            some = asked[begin : begin + MOST_SUBJECTS]
            request = pb.UnwrapKeysRequest(tenant=tenant, subjects=some)
            answer = await _asked(self._stub.UnwrapKeys, request)
            known |= {each.subject: _key(each) for each in answer.keys}
        return known

    async def create(self, tenant: str, subject: str) -> Key:
        request = pb.CreateKeyRequest(tenant=tenant, subject=subject)
        try:
            made = await _asked(self._stub.CreateKey, request)
        except grpc.aio.AioRpcError as error:
            if problem_of(error).reason == SubjectForgotten.reason:
                raise forgotten(subject) from error
            raise
        return Key(made.key_id, made.secret)


async def _asked(method: Callable[..., Awaitable[Any]], request: Any) -> Any:
    try:
        return await method(request, timeout=PATIENCE_SECONDS, wait_for_ready=True)
    except grpc.aio.AioRpcError as error:
        if error.code() in SILENT:
            raise silent() from error
        raise


def _key(said: pb.SubjectKey) -> Key | None:
    return Key(said.key_id, said.secret) if said.key_id else None
