"""Refusals on the wire: kernel errors to google.rpc.Status, and back."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import grpc
from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from kernel.errors import (
    AlreadyExists,
    Conflict,
    Damaged,
    DomainError,
    Forbidden,
    InvalidArgument,
    NotFound,
    QuotaExhausted,
    RuleViolated,
    Unauthenticated,
    Unavailable,
    Violation,
)

DETAILS = "grpc-status-details-bin"
CODES: Mapping[type[DomainError], grpc.StatusCode] = {
    InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    NotFound: grpc.StatusCode.NOT_FOUND,
    AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    RuleViolated: grpc.StatusCode.FAILED_PRECONDITION,
    Conflict: grpc.StatusCode.ABORTED,
    Forbidden: grpc.StatusCode.PERMISSION_DENIED,
    Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    QuotaExhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Unavailable: grpc.StatusCode.UNAVAILABLE,
    Damaged: grpc.StatusCode.DATA_LOSS,
}
KINDS: Mapping[grpc.StatusCode, type[DomainError]] = {
    **{code: kind for kind, code in CODES.items()},
    grpc.StatusCode.DEADLINE_EXCEEDED: Unavailable,
}


class Internal(DomainError):
    """A bug, or a code that no refusal of ours has. It says nothing to the caller."""


class Problem(NamedTuple):
    """A refusal as a client sees it. `kind` is `Internal` for what is no refusal."""

    kind: type[DomainError]
    reason: str
    message: str
    facts: Mapping[str, str]
    violations: tuple[Violation, ...]


def kind_of(error: DomainError) -> type[DomainError]:
    return next((kind for kind in type(error).__mro__ if kind in CODES), Internal)


def status_of(error: DomainError, service: str) -> Status:
    """`reason` and facts as ErrorInfo, wrong fields as BadRequest."""
    info = ErrorInfo(reason=error.reason, domain=f"{service}.bayline.example", metadata=error.facts)
    code = CODES.get(kind_of(error), grpc.StatusCode.INTERNAL)
    status = Status(code=code.value[0], message=error.message, details=[_packed(info)])
    if error.violations:
        status.details.append(_packed(_bad_request(error.violations)))
    return status


def problem_of(error: grpc.aio.AioRpcError) -> Problem:
    """What a server of ours said; for anything else what the code alone tells."""
    code = error.code()
    kind = KINDS.get(code, Internal)
    reason, message = code.name, error.details() or code.name.lower().replace("_", " ")
    facts: Mapping[str, str] = {}
    violations: tuple[Violation, ...] = ()
    for detail in _details(error):
        if detail.Is(ErrorInfo.DESCRIPTOR):
            info = ErrorInfo.FromString(detail.value)
            reason, facts = info.reason, dict(info.metadata)
        elif detail.Is(BadRequest.DESCRIPTOR):
            violations = _violations(BadRequest.FromString(detail.value))
    return Problem(kind, reason, message, facts, violations)


def _details(error: grpc.aio.AioRpcError) -> Iterable[Any]:
    raw = dict(error.trailing_metadata() or ()).get(DETAILS, b"")
    return Status.FromString(raw).details if isinstance(raw, bytes) else ()


def _packed(message: ErrorInfo | BadRequest) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed


def _bad_request(violations: Iterable[Violation]) -> BadRequest:
    return BadRequest(
        field_violations=[
            BadRequest.FieldViolation(field=violation.pointer, description=violation.detail)
            for violation in violations
        ]
    )


def _violations(wrong: BadRequest) -> tuple[Violation, ...]:
    return tuple(Violation(field.field, field.description) for field in wrong.field_violations)
