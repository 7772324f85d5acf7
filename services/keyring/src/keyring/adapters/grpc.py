"""KeyringService: translate, call, translate back."""

from typing import Any, TypeAlias

from grpc.aio import ServicerContext

from bayline.keyring.v1.keyring_service_pb2_grpc import KeyringServiceServicer
from bayline.keyring.v1.subject_pb2 import Subject
from keyring.adapters import codec
from keyring.adapters.codec import Request
from keyring.application.commands import SubjectCommands
from runtime import commands, context
from runtime.policy import Policies

Context: TypeAlias = ServicerContext[Any, Any]


class KeyringServicer(KeyringServiceServicer):
    def __init__(self, commands: SubjectCommands, policies: Policies) -> None:
        self._commands, self._policies = commands, policies

    async def _forget(self, request: Request, context: Context) -> Subject:
        _require(self._policies)
        metadata = commands.metadata_of(request, context)
        answer = await self._commands.forget(codec.command(request), metadata)
        commands.answer(context, answer)
        return codec.resource(request.name, answer.version, answer.state)

    ErasePerson = _forget
    RedactJob = _forget


def _require(policies: Policies) -> None:
    """A subject belongs to no site: who may forget one may forget all of the tenant."""
    policies.require(context.caller(), context.call().method.removeprefix("/"))
