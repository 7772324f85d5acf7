"""Who asks, and in which chain of causes: known for the length of one call."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from kernel.clock import Clock
from runtime.identity import Caller
from runtime.positions import Seals


@dataclass(frozen=True, slots=True)
class Means:
    """What a call needs of its process."""

    clock: Clock
    seals: Seals
    fingerprint_key: bytes


@dataclass(slots=True)
class Call:
    """One call in progress. `caller` is absent until the token is verified."""

    method: str
    means: Means
    correlation_id: str
    traceparent: str = ""
    causation_id: str = ""
    caller: Caller | None = None
    code: str = "OK"
    outcome: str = "accepted"


@dataclass(frozen=True, slots=True)
class Errand:
    """What a service does on its own, because of an event: for whom, and because of what."""

    tenant: str
    correlation_id: str = ""
    causation_id: str = ""
    traceparent: str = ""


_call: ContextVar[Call] = ContextVar("call")
_errand: ContextVar[Errand | None] = ContextVar("errand", default=None)


def begin(call: Call) -> None:
    """The task that runs a call runs no other: the context ends with the task."""
    _call.set(call)


def current() -> Call | None:
    return _call.get(None)


def call() -> Call:
    found = _call.get(None)
    if found is None:
        raise LookupError("not inside a call")
    return found


def caller() -> Caller:
    found = call().caller
    if found is None:
        raise LookupError("the method is open to everyone: there is no caller")
    return found


@contextmanager
def acting_for(errand: Errand) -> Iterator[None]:
    """Calls to peers inside are made for this event's tenant, as its consequence."""
    token = _errand.set(errand)
    try:
        yield
    finally:
        _errand.reset(token)


def errand() -> Errand | None:
    return _errand.get()
