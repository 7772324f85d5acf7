"""What stands around a command: who, which key, since when; and what its answer carries."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol

import grpc
from google.protobuf.message import Message

from eventstore.store import Metadata
from kernel.errors import InvalidArgument, Violation
from runtime import context
from runtime.positions import Place

KEY = re.compile(r"[!-~]{8,128}")
VERSION = re.compile(r"[1-9]\d{0,9}|0")


class IdempotencyKeyRequired(InvalidArgument):
    pass


class IdempotencyKeyInvalid(InvalidArgument):
    pass


class EtagInvalid(InvalidArgument):
    pass


class Position(Protocol):
    @property
    def log(self) -> str: ...
    @property
    def shard(self) -> int: ...
    @property
    def pos(self) -> int: ...


class Answer(Protocol):
    """What a command did, as `eventstore.decider.Answer` tells it."""

    @property
    def version(self) -> int: ...
    @property
    def position(self) -> Position: ...
    @property
    def replayed(self) -> bool: ...


def metadata_of(request: Message, _: "grpc.aio.ServicerContext[Message, Message]") -> Metadata:
    """The tenant comes from the verified caller and from nowhere else.

    `occurred_at` is the request's own, if it has the field and it is set; else now.
    """
    call, caller = context.call(), context.caller()
    key = _key(request)
    return Metadata(
        tenant=caller.tenant,
        actor=caller.subject,
        request_id=key,
        fingerprint=_fingerprint(call, caller.tenant, caller.subject, request),
        correlation_id=call.correlation_id,
        causation_id=call.causation_id or key,
        occurred_at=_occurred_at(request) or call.means.clock.now(),
        expected_version=_expected_version(request),
        traceparent=call.traceparent,
    )


def answer(servicer_context: "grpc.aio.ServicerContext[Message, Message]", answer: Answer) -> None:
    """Position, version and whether it is an answer from before, as trailing metadata."""
    call, caller = context.call(), context.caller()
    place = Place(answer.position.log, answer.position.shard, answer.position.pos)
    metadata = {
        "bayline-position": call.means.seals.seal_places(caller.tenant, [place]),
        "bayline-version": str(answer.version),
    }
    if answer.replayed:
        metadata["bayline-replayed"] = "true"
        call.outcome = "replayed"
    servicer_context.set_trailing_metadata(tuple(metadata.items()))


def _fields(request: Message) -> Mapping[str, object]:
    return request.DESCRIPTOR.fields_by_name


def _key(request: Message) -> str:
    key = str(getattr(request, "request_id", ""))
    if not key:
        raise IdempotencyKeyRequired(
            "a command carries an Idempotency-Key, so that it can be sent again",
            violations=[Violation("/requestId", "is required")],
        )
    if not KEY.fullmatch(key):
        raise IdempotencyKeyInvalid(
            "an Idempotency-Key has 8 to 128 printable ASCII characters",
            violations=[Violation("/requestId", "has other than 8 to 128 printable characters")],
        )
    return key


def _expected_version(request: Message) -> int | None:
    etag = str(getattr(request, "etag", ""))
    if not etag:
        return None
    if not VERSION.fullmatch(etag):
        raise EtagInvalid(
            "an etag is what an answer gave you: the version of the resource",
            violations=[Violation("/etag", "is not a version")],
        )
    return int(etag)


def _occurred_at(request: Message) -> datetime | None:
    if "occurred_at" not in _fields(request) or not request.HasField("occurred_at"):
        return None
    moment: datetime = request.occurred_at.ToDatetime(tzinfo=UTC)  # type: ignore[attr-defined]  # checked above
    return moment


def _fingerprint(call: context.Call, tenant: str, subject: str, request: Message) -> bytes:
    """Says whether a key is used again for the same: same method, subject and request.

    Keyed per tenant, because a plain hash of personal text could be guessed for ever.
    """
    body = type(request)()
    body.CopyFrom(request)
    body.ClearField("request_id")
    parts = (call.method.encode(), subject.encode(), body.SerializeToString(deterministic=True))
    mac = hmac.new(_tenant_key(call.means.fingerprint_key, tenant), digestmod=hashlib.sha256)
    for part in parts:
        mac.update(len(part).to_bytes(4, "big") + part)
    return mac.digest()


@lru_cache(4096)
def _tenant_key(key: bytes, tenant: str) -> bytes:
    return hmac.digest(key, tenant.encode(), hashlib.sha256)
