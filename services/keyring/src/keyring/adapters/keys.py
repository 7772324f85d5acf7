"""KeyService: keys for the services that may know them, which the policies have said by now."""

from typing import Any, TypeAlias

from grpc.aio import ServicerContext

from bayline.keyring.v1 import key_service_pb2 as pb
from bayline.keyring.v1.key_service_pb2_grpc import KeyServiceServicer
from eventstore.keyring import Key, SubjectKeys

Context: TypeAlias = ServicerContext[Any, Any]


class KeyServicer(KeyServiceServicer):
    def __init__(self, keys: SubjectKeys) -> None:
        self._keys = keys

    async def UnwrapKeys(  # noqa: N802 -- the RPC's name
        self, request: pb.UnwrapKeysRequest, context: Context
    ) -> pb.UnwrapKeysResponse:
        found = await self._keys.unwrap(request.tenant, request.subjects)
        return pb.UnwrapKeysResponse(keys=[_said(*each) for each in found.items()])

    async def CreateKey(  # noqa: N802 -- the RPC's name
        self, request: pb.CreateKeyRequest, context: Context
    ) -> pb.SubjectKey:
        key = await self._keys.create(request.tenant, request.subject)
        return _said(request.subject, key)


def _said(subject: str, key: Key | None) -> pb.SubjectKey:
    if key is None:
        return pb.SubjectKey(subject=subject)
    return pb.SubjectKey(subject=subject, key_id=key.id, secret=key.secret)
