"""Who calls, and whether such a caller could ever do this: asked before any service is."""

from collections.abc import AsyncIterator
from contextvars import ContextVar

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from gateway.limits import Limiter
from runtime.identity import Caller, TokenVerifier
from runtime.policy import Policies, refusal
from transcoding.handlers import Handler, Metadata
from transcoding.streams import Told

_caller: ContextVar[Caller] = ContextVar("caller")


def caller() -> Caller:
    """The verified caller of the request being handled."""
    return _caller.get()


def action_of(method: MethodDescriptor) -> str:
    return f"{method.containing_service.full_name}/{method.name}"


class Guarded:
    """A handler behind the door: token first, how often, then role.

    Sites and assignees the service judges.
    """

    def __init__(
        self, inner: Handler, verifier: TokenVerifier, limiter: Limiter, policies: Policies
    ) -> None:
        self._inner = inner
        self._limiter = limiter
        self._verifier = verifier
        self._policies = policies

    async def unary(
        self, method: MethodDescriptor, request: Message, metadata: Metadata
    ) -> tuple[Message, Metadata]:
        await self._admit(method, metadata)
        return await self._inner.unary(method, request, metadata)

    async def stream(
        self, method: MethodDescriptor, request: Message, metadata: Metadata
    ) -> AsyncIterator[Told]:
        await self._admit(method, metadata)
        async for message in self._inner.stream(method, request, metadata):
            yield message

    async def _admit(self, method: MethodDescriptor, metadata: Metadata) -> None:
        found = await self._verifier.verify_header(dict(metadata).get("authorization", ""))
        await self._limiter.take(found)
        if not self._policies.could(found, action_of(method)):
            raise refusal(action_of(method))
        _caller.set(found)
