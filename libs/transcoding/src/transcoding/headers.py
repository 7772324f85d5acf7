"""What HTTP headers mean to a call: idempotency, preconditions, position, identity."""

import re
from collections.abc import Mapping
from typing import TypeAlias

from transcoding.errors import IdempotencyKeyRequired, InvalidHeader
from transcoding.handlers import Metadata

Headers: TypeAlias = Mapping[bytes, bytes]
RawHeaders: TypeAlias = list[tuple[bytes, bytes]]

FORWARDED = ("authorization", "bayline-after", "bayline-correlation-id", "traceparent")
KEY = re.compile(r"[!-~]{8,128}")
STRONG_TAG = re.compile(r'"([!#-~]*)"')
ANY_TAG = re.compile(r'(?:W/)?"[!#-~]*"')


def text(headers: Headers, name: str) -> str:
    """The value, or "" where the header is missing. gRPC takes printable ASCII only."""
    value = headers.get(name.encode(), b"").decode("latin-1").strip()
    if not (value.isascii() and value.isprintable()):
        raise InvalidHeader(f"{name} may hold printable ASCII characters only", header=name)
    return value


def forwarded(headers: Headers) -> Metadata:
    """The headers that a service reads, as gRPC metadata of the same names."""
    return [(name, text(headers, name)) for name in FORWARDED if name.encode() in headers]


def idempotency_key(headers: Headers, in_body: str) -> str:
    key = text(headers, "idempotency-key")
    if not key:
        raise IdempotencyKeyRequired(
            "a command needs the header Idempotency-Key: a new one for each intent, "
            "the same one when it is sent again",
            header="Idempotency-Key",
        )
    if not KEY.fullmatch(key):
        raise InvalidHeader(
            "Idempotency-Key must be 8 to 128 printable ASCII characters without spaces",
            header="Idempotency-Key",
        )
    if in_body not in ("", key):
        raise InvalidHeader("Idempotency-Key and requestId differ", header="Idempotency-Key")
    return key


def expected_version(headers: Headers, in_body: str) -> str:
    """The version that `If-Match` asks for; "" for none or for `*`."""
    tag = text(headers, "if-match")
    if tag in ("", "*"):
        return in_body
    match = STRONG_TAG.fullmatch(tag)
    if match is None:
        raise InvalidHeader(
            'If-Match must be one strong entity tag as ETag gave it, such as "7"',
            header="If-Match",
        )
    if in_body not in ("", match[1]):
        raise InvalidHeader("If-Match and etag differ", header="If-Match")
    return match[1]


def refuse_precondition(headers: Headers) -> None:
    if b"if-match" in headers:
        raise InvalidHeader(
            "this method knows no version, so If-Match cannot be judged", header="If-Match"
        )


def is_unchanged(headers: Headers, etag: str) -> bool:
    """Whether the client of a GET has this version already (RFC 9110, 13.1.2)."""
    known = text(headers, "if-none-match")
    if not known or not etag:
        return False
    return known == "*" or f'"{etag}"' in (tag.removeprefix("W/") for tag in ANY_TAG.findall(known))


def answered(metadata: Metadata, etag: str) -> RawHeaders:
    """Response headers out of what the service said beside its response."""
    said = dict(metadata)
    found = [(b"etag", f'"{etag}"')] if etag else []
    if position := said.get("bayline-position"):
        found.append((b"bayline-position", position))
    if said.get("bayline-replayed") == "true":
        found.append((b"idempotency-replayed", "true"))
    return [(name, value.encode("latin-1")) for name, value in found]
