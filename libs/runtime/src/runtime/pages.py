"""Page tokens: where a page ended, sealed, and good for the same query only."""

import json
from hashlib import sha256
from typing import Protocol

from google.protobuf.message import Message

from runtime import context
from runtime.positions import PageTokenUnreadable, Purpose

DEFAULT_SIZE = 50


class Paged(Protocol):
    """A request for a page."""

    page_size: int
    page_token: str


def size_of(request: Paged) -> int:
    return request.page_size or DEFAULT_SIZE


def opened(request: Paged) -> tuple[str, str] | None:
    """The sort key and id of the last row of the page before; None for the first page.

    Raises PageTokenUnreadable for a token of another query, another tenant, or nobody's.
    """
    if not request.page_token:
        return None
    call, caller = context.call(), context.caller()
    plain = call.means.seals.open(Purpose.PAGE_TOKEN, caller.tenant, request.page_token)
    query, key, identity = json.loads(plain)
    if query != _query(request):
        raise PageTokenUnreadable("this page token was given out for another query")
    return key, identity


def sealed(request: Paged, key: str, identity: str) -> str:
    call, caller = context.call(), context.caller()
    plain = json.dumps([_query(request), key, identity]).encode()
    return call.means.seals.seal(Purpose.PAGE_TOKEN, caller.tenant, plain)


def _query(request: Paged) -> str:
    assert isinstance(request, Message)
    query = type(request)()
    query.CopyFrom(request)
    query.ClearField("page_size")
    query.ClearField("page_token")
    name = query.DESCRIPTOR.full_name.encode()
    return sha256(name + query.SerializeToString(deterministic=True)).hexdigest()
