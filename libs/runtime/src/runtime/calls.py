"""What happens around every call: trace, refusals, identity, policy, validation; in this order."""

import asyncio
import re
import time
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NoReturn, TypeAlias

import grpc
import psycopg
import structlog
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from bayline.api.v1 import annotations_pb2
from kernel.errors import (
    Conflict,
    Damaged,
    DomainError,
    Forbidden,
    QuotaExhausted,
    Unauthenticated,
    Unavailable,
)
from kernel.ids import IdGenerator
from runtime import context, errors, telemetry, validation
from runtime.context import Call, Means
from runtime.identity import Caller, TokenVerifier
from runtime.policy import Policies, Thing, refusal
from runtime.positions import Place

AFTER_SECONDS = 1.0
CORRELATION_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
OPEN = ("/grpc.health.v1.Health/", "/grpc.reflection.")

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Wait: TypeAlias = Callable[[Sequence[Place], float], Awaitable[bool]]

log = structlog.get_logger()


class TenantMissing(Unauthenticated):
    pass


class WorkloadRequired(Forbidden):
    pass


class FactsNotYetKnown(Unavailable):
    pass


class DatabaseUnavailable(Unavailable):
    pass


class PeerUnavailable(Unavailable):
    pass


@dataclass(frozen=True, slots=True)
class Method:
    path: str  # /bayline.workshop.v1.WorkshopService/RequestJob
    action: str  # the same without the first slash, as policies name it
    command: bool
    internal: bool
    about: str = ""  # the field of an internal method's request that policies look at

    def things(self, request: Message) -> Iterable[Thing]:
        """What is asked for; more than one where the field is a list."""
        said = getattr(request, self.about) if self.about else ""
        values = [said] if isinstance(said, str) else said
        return {Thing(about=value.partition("/")[0]) for value in values} or {Thing()}


def method_of(descriptor: MethodDescriptor) -> Method:
    rules = descriptor.GetOptions().Extensions[annotations_pb2.method]
    action = f"{descriptor.containing_service.full_name}/{descriptor.name}"
    return Method(f"/{action}", action, rules.command, rules.internal, rules.about)


class Calls(grpc.aio.ServerInterceptor):
    """One interceptor for all: each method's handler is wrapped once, and kept."""

    def __init__(
        self,
        service: str,
        verifier: TokenVerifier,
        policies: Policies,
        means: Means,
        ids: IdGenerator,
        *,
        traces: bool = False,
    ) -> None:
        self._service = service
        self._verifier = verifier
        self._policies = policies
        self._means = means
        self._ids = ids
        self._span = telemetry.serving if traces else telemetry.untraced
        self._meters = telemetry.CallMeters()
        self._handlers: dict[str, Handler] = {}
        self.methods: dict[str, Method] = {}
        self.waits: list[Wait] = []

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        path = str(handler_call_details.method)
        if path in self._handlers:
            return self._handlers[path]
        handler = await continuation(handler_call_details)
        if handler is not None and not path.startswith(OPEN):
            handler = self._handlers[path] = self._wrapped(self.methods[path], handler)
        return handler

    def _wrapped(self, method: Method, handler: Handler) -> Handler:
        if handler.request_streaming:
            raise TypeError(f"{method.path} streams its request, which no method of ours does")
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                self._stream(method, handler.unary_stream),
                handler.request_deserializer,
                handler.response_serializer,
            )
        return grpc.unary_unary_rpc_method_handler(
            self._unary(method, handler.unary_unary),
            handler.request_deserializer,
            handler.response_serializer,
        )

    def _unary(self, method: Method, behaviour: Any) -> Any:
        async def answered(request: Any, servicer_context: Context) -> Any:
            metadata = _metadata(servicer_context)
            with self._call(method, metadata) as call:
                try:
                    await self._admit(method, call, metadata, request)
                    return await behaviour(request, servicer_context)
                except Exception as error:  # noqa: BLE001 -- the one place where a bug becomes INTERNAL
                    await self._refuse(call, servicer_context, error)

        return answered

    def _stream(self, method: Method, behaviour: Any) -> Any:
        async def answered(request: Any, servicer_context: Context) -> AsyncIterator[Any]:
            metadata = _metadata(servicer_context)
            with self._call(method, metadata) as call:
                try:
                    await self._admit(method, call, metadata, request)
                    async for message in behaviour(request, servicer_context):
                        yield message
                except Exception as error:  # noqa: BLE001 -- see above
                    await self._refuse(call, servicer_context, error)

        return answered

    @contextmanager
    def _call(self, method: Method, metadata: Mapping[str, str]) -> Iterator[Call]:
        began = time.perf_counter()
        call = Call(method.path, self._means, self._correlation_id(metadata))
        context.begin(call)
        try:
            with self._span(call, _traceparent(metadata)), _cancellable(call):
                yield call
        finally:
            self._meters.record(
                method.path,
                command=method.command,
                code=call.code,
                outcome=call.outcome if call.code == "OK" else call.code.lower(),
                began=began,
            )

    def _correlation_id(self, metadata: Mapping[str, str]) -> str:
        given = metadata.get("bayline-correlation-id", "")
        return given if CORRELATION_ID.fullmatch(given) else str(self._ids.new())

    async def _admit(
        self,
        method: Method,
        call: Call,
        metadata: Mapping[str, str],
        request: Any,
    ) -> None:
        """Lets nobody past but a known caller, with a right, with a request that is in order."""
        caller = await self._verifier.verify_header(metadata.get("authorization", ""))
        if caller.workload:
            caller = _for_tenant(caller, metadata)
            call.causation_id = metadata.get("bayline-causation-id", "")
        call.caller = caller
        self._require_right(caller, method, request)
        validation.check(request)
        if "bayline-after" in metadata:
            await self._wait(caller, metadata["bayline-after"])

    def _require_right(self, caller: Caller, method: Method, request: Message) -> None:
        if method.internal and not caller.workload:
            raise WorkloadRequired("only services may call this")
        if not caller.tenant and not method.internal:
            raise TenantMissing("a service names the tenant it acts for: `bayline-tenant`")
        if not self._may(caller, method, request):
            raise refusal(method.action)

    def _may(self, caller: Caller, method: Method, request: Message) -> bool:
        """A service says in its request what it asks for; what a person asks for is yet to be found."""
        if not method.internal:
            return self._policies.could(caller, method.action)
        asked = method.things(request)
        return all(self._policies.allows(caller, method.action, thing) for thing in asked)

    async def _wait(self, caller: Caller, tokens: str) -> None:
        """Read your writes: the answer is not older than what the caller has seen."""
        places = self._means.seals.open_places(caller.tenant, tokens)
        deadline = asyncio.get_running_loop().time() + AFTER_SECONDS
        covered = await asyncio.gather(*(wait(places, deadline) for wait in self.waits))
        if not all(covered):
            raise FactsNotYetKnown("what you have seen has not arrived here yet; ask again soon")

    async def _refuse(self, call: Call, servicer_context: Context, error: Exception) -> NoReturn:
        if isinstance(error, grpc.aio.AbortError):
            call.code = grpc.StatusCode.UNKNOWN.name
            raise error
        answer = _as_refusal(error)
        correlation = ("bayline-correlation-id", call.correlation_id)
        if answer is None:
            call.code = grpc.StatusCode.INTERNAL.name
            log.error("call_failed", exc_info=error)
            await servicer_context.abort(grpc.StatusCode.INTERNAL, "internal error", (correlation,))
        kind = errors.kind_of(answer)
        code = errors.CODES[kind]
        call.code = code.name
        say = log.warning if kind in (Conflict, QuotaExhausted, Unavailable) else log.info
        say = log.error if kind is Damaged else say
        say("call_refused", reason=answer.reason, kind=kind.__name__, **_causes(error, answer))
        status = errors.status_of(answer, self._service)
        details = (errors.DETAILS, status.SerializeToString())
        await servicer_context.abort(code, status.message, (correlation, details))


@contextmanager
def _cancellable(call: Call) -> Iterator[None]:
    try:
        yield
    except (asyncio.CancelledError, GeneratorExit):
        call.code = "CANCELLED"
        raise


def _as_refusal(error: Exception) -> DomainError | None:
    """What went wrong outside of us is `Unavailable`; what is none of these is a bug."""
    if isinstance(error, DomainError):
        return error if errors.kind_of(error) is not errors.Internal else None
    if isinstance(error, psycopg.OperationalError):
        return DatabaseUnavailable("the database does not answer now")
    if isinstance(error, grpc.aio.AioRpcError) and error.code() in (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    ):
        return PeerUnavailable("a service that is needed does not answer now")
    return None


def _causes(error: Exception, answer: DomainError) -> Mapping[str, str]:
    return {} if error is answer else {"cause": f"{type(error).__name__}: {error}"}


def _metadata(servicer_context: Context) -> Mapping[str, str]:
    given = servicer_context.invocation_metadata() or ()
    return {key: value for key, value in given if isinstance(value, str)}


def _traceparent(metadata: Mapping[str, str]) -> str:
    given = metadata.get("traceparent", "")
    return given if TRACEPARENT.fullmatch(given) else ""


def _for_tenant(caller: Caller, metadata: Mapping[str, str]) -> Caller:
    """Only a service may name a tenant: the one of the event it handles."""
    tenant = metadata.get("bayline-tenant", "")
    return replace(caller, tenant=tenant) if tenant else caller
