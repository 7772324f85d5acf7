"""Personal words sealed on their way into the log, and opened on their way to a reader."""

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import Message

from bayline.event.v1.metadata_pb2 import Sensitive
from eventstore.keyring import Key, SubjectKeys
from eventstore.sensitive import sensitive_in
from kernel.clock import Clock, SystemClock
from kernel.personal import ERASED, Personal, Sealed

T = TypeVar("T")

Value: TypeAlias = Any

SEALED = "[sealed]"
CACHED_FOR = timedelta(seconds=60)
CACHED_KEYS = 10_000
NONCE_BYTES = 12


class SealBroken(Exception):
    """Sealed words that do not belong where they stand, or were changed."""


@dataclass(frozen=True, slots=True)
class Cached:
    key: Key
    until: datetime


class Sealing:
    """Seals with a subject's key (AES-256-GCM), bound to tenant, stream, version and field.

    Keys are kept for at most a minute, so that a forgotten subject is soon forgotten here too;
    `drop` forgets one at once.
    """

    def __init__(self, keys: SubjectKeys, clock: Clock | None = None) -> None:
        self._keys = keys
        self._clock = clock or SystemClock()
        self._cached: OrderedDict[tuple[str, str], Cached] = OrderedDict()

    async def seal(
        self, records: Sequence[Message], tenant: str, stream: UUID, after_version: int
    ) -> None:
        """Seals in place. The version is part of the seal: a lost race seals again.

        Raises SubjectForgotten.
        """
        found = [
            (after_version + number, field, words)
            for number, record in enumerate(records, start=1)
            for field, words in sensitive_in(_case_of(record))
        ]
        if not found:
            return
        keys = await self._made(tenant, {words.subject for _, _, words in found})
        for version, field, words in found:
            _seal(words, keys[words.subject], _place(tenant, stream, version, field))

    async def reveal(self, tenant: str, stream: UUID, value: T) -> T:
        """The same value with every sealed text opened: the words, or their erasure.

        Walks dataclasses, tuples, lists, sets and mappings. Raises SealBroken.
        """
        [revealed] = await self.reveal_all(tenant, [(stream, value)])
        return revealed

    async def reveal_all(self, tenant: str, values: Sequence[tuple[UUID, T]]) -> list[T]:
        """Values of many streams, opened with one question for their keys. Raises SealBroken."""
        sealed = [(stream, value, _sealed_in(value)) for stream, value in values]
        subjects = {each.subject for _, _, found in sealed for each in found}
        keys = await self._known(tenant, subjects)
        if lost := subjects - keys.keys():
            raise SealBroken(
                f"there never was a key of {sorted(lost)}: is the keyring the right one?"
            )
        revealed = []
        for stream, value, found in sealed:
            opened = {each: _opened(each, keys[each.subject], tenant, stream) for each in found}
            revealed.append(_rebuilt(value, opened) if opened else value)
        return revealed

    def drop(self, tenant: str, subject: str) -> None:
        self._cached.pop((tenant, subject), None)

    async def _made(self, tenant: str, subjects: set[str]) -> Mapping[str, Key]:
        """A key that may be there already is made again rather than asked for: one question, not two."""
        keys = self._cached_of(tenant, subjects)
        for subject in subjects - keys.keys():
            keys[subject] = await self._keys.create(tenant, subject)
            self._keep(tenant, subject, keys[subject])
        return keys

    async def _known(self, tenant: str, subjects: set[str]) -> Mapping[str, Key | None]:
        known: dict[str, Key | None] = {**self._cached_of(tenant, subjects)}
        if missing := subjects - known.keys():
            known |= await self._keys.unwrap(tenant, missing)
            for subject in missing:
                if key := known.get(subject):
                    self._keep(tenant, subject, key)
        return known

    def _cached_of(self, tenant: str, subjects: set[str]) -> dict[str, Key]:
        now = self._clock.now()
        return {
            subject: cached.key
            for subject in subjects
            if (cached := self._cached.get((tenant, subject))) and cached.until > now
        }

    def _keep(self, tenant: str, subject: str, key: Key) -> None:
        """Who was kept first goes first: when its minute is over, or room is wanted."""
        now = self._clock.now()
        self.drop(tenant, subject)
        self._cached[tenant, subject] = Cached(key, now + CACHED_FOR)
        while len(self._cached) > CACHED_KEYS or self._first().until <= now:
            self._cached.popitem(last=False)

    def _first(self) -> Cached:
        return next(iter(self._cached.values()))


def veiled(value: T) -> T:
    """The same value for whoever may not know: every sealed text reads `[sealed]`."""
    hidden = {each: Personal(each.subject, SEALED) for each in _sealed_in(value)}
    shown: T = _rebuilt(value, hidden)
    return shown


def _case_of(record: Message) -> Message:
    (oneof,) = record.DESCRIPTOR.oneofs
    case: Message = getattr(record, record.WhichOneof(oneof.name))
    return case


def _seal(words: Sensitive, key: Key, place: bytes) -> None:
    words.nonce = os.urandom(NONCE_BYTES)
    words.key_id = key.id
    words.ciphertext = AESGCM(key.secret).encrypt(words.nonce, words.ciphertext, place)


def _opened(personal: Personal, key: Key | None, tenant: str, stream: UUID) -> Personal:
    sealed = personal.sealed
    assert sealed is not None
    if key is None:
        return Personal(personal.subject, ERASED)
    place = _place(tenant, stream, sealed.version, sealed.field)
    return Personal(personal.subject, _text(sealed, key, place))


def _text(sealed: Sealed, key: Key, place: bytes) -> str:
    try:
        return AESGCM(key.secret).decrypt(sealed.nonce, sealed.ciphertext, place).decode()
    except InvalidTag as error:
        raise SealBroken(f"{sealed.field} of version {sealed.version}") from error


def _place(tenant: str, stream: UUID, version: int, field: str) -> bytes:
    """Additional authenticated data: no seal can be carried to another place."""
    parts = (tenant.encode(), stream.bytes, version.to_bytes(4, "big"), field.encode())
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _sealed_in(value: Value) -> set[Personal]:
    found: set[Personal] = set()
    _note_sealed(value, found)
    return found


def _note_sealed(value: Value, found: set[Personal]) -> None:
    if isinstance(value, Personal):
        if value.sealed is not None:
            found.add(value)
        return
    parts = _parts_of(value.__class__)
    if parts is not None:
        for part in parts(value):
            _note_sealed(part, found)


@cache
def _parts_of(kind: type) -> Callable[[Value], Iterable[Value]] | None:
    """How to get at what a value of this class holds; None where it holds nothing."""
    if is_dataclass(kind):
        names = _names_of(kind)
        return lambda value: [getattr(value, name) for name in names]
    if issubclass(kind, Mapping):
        return lambda value: value.values()
    return iter if issubclass(kind, tuple | list | frozenset | set) else None


@cache
def _names_of(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.init)


def _rebuilt(value: Value, opened: Mapping[Personal, Personal]) -> Value:
    """The value itself where nothing in it was sealed."""
    if isinstance(value, Personal):
        return opened.get(value, value)
    if _parts_of(value.__class__) is None:
        return value
    if is_dataclass(value):
        return _changed(value, opened)
    if isinstance(value, Mapping):
        return {key: _rebuilt(each, opened) for key, each in value.items()}
    return type(value)(_rebuilt(each, opened) for each in value)


def _changed(value: Value, opened: Mapping[Personal, Personal]) -> Value:
    inner = {name: getattr(value, name) for name in _names_of(value.__class__)}
    after = {name: _rebuilt(each, opened) for name, each in inner.items()}
    changes = {name: each for name, each in after.items() if each is not inner[name]}
    return replace(value, **changes) if changes else value
