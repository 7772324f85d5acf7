"""Who calls, and whether such a caller could ever do this: asked before anything is parsed."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar

from google.protobuf.descriptor import MethodDescriptor
from starlette.types import Scope

from gateway.limits import AtOnce, Limiter
from runtime.identity import Caller, TokenVerifier
from runtime.policy import Policies, refusal

CALLER = "bayline.caller"
"""Where a scope has who asks, once that is verified."""

_caller: ContextVar[Caller] = ContextVar("caller")


def caller() -> Caller:
    """The verified caller of the request being handled."""
    return _caller.get()


def action_of(method: MethodDescriptor) -> str:
    return f"{method.containing_service.full_name}/{method.name}"


class Doorkeeper:
    """Token first, how often, then role and how many streams. Sites and assignees the service judges."""

    def __init__(
        self, verifier: TokenVerifier, limiter: Limiter, at_once: AtOnce, policies: Policies
    ) -> None:
        self._verifier = verifier
        self._limiter = limiter
        self._at_once = at_once
        self._policies = policies

    async def identify(self, authorization: bytes) -> Caller:
        """Before the route is known."""
        found = await self._verifier.verify_header(authorization.decode("latin-1"))
        await self._limiter.take(found)
        return found

    @contextmanager
    def admit(self, method: MethodDescriptor, scope: Scope) -> Iterator[None]:
        """Once the route is known, until the answer is out."""
        found: Caller = scope[CALLER]
        if not self._policies.could(found, action_of(method)):
            raise refusal(action_of(method))
        _caller.set(found)
        with self._at_once.taken(found, method) if method.server_streaming else nullcontext():
            yield
