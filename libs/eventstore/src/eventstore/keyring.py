"""The keys of subjects: one random key for each, wrapped by its tenant's; forgotten, not deleted."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, LiteralString, Protocol
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from psycopg import AsyncConnection, DatabaseError, OperationalError
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from kernel.errors import RuleViolated, Unavailable
from kernel.ids import IdGenerator, Uuid7

KEY_BYTES = 32
NONCE_BYTES = 12
FORGOTTEN = "KR410"
UNWRAP = "SELECT subject, key_id, wrapped FROM keyring.unwrap(%s, %s)"
CREATE = "SELECT key_id, wrapped FROM keyring.create(%s, %s, %s, %b)"


class SubjectForgotten(RuleViolated):
    """The subject was erased: nothing more is written about it."""


class KeyBroken(Exception):
    """A key that was wrapped for another place, or with another key encryption key."""


class NothingPersonal(Exception):
    """A service that says nothing of anybody has come upon somebody's words."""


class KeyringUnavailable(Unavailable):
    """No words can be sealed or opened now."""


@dataclass(frozen=True, slots=True)
class Key:
    id: str
    secret: bytes


class SubjectKeys(Protocol):
    """Keys by subject (`technicians/<id>`, `jobs/<id>`), for whoever seals and opens."""

    async def unwrap(self, tenant: str, subjects: Collection[str]) -> Mapping[str, Key | None]:
        """The keys there are; None for a forgotten subject, nothing for one never seen."""
        ...

    async def create(self, tenant: str, subject: str) -> Key:
        """The subject's key, made if there is none yet: racers get the same one.

        Raises SubjectForgotten.
        """
        ...


class KeptKeys(SubjectKeys, Protocol):
    """Where the keys are kept."""

    async def forget(self, tenant: str, subject: str) -> None:
        """Destroys the key for ever, also of a subject never seen, which then never gets one."""
        ...


class NoKeys:
    """Of a service that says nothing of anybody: it can neither seal nor open."""

    async def unwrap(self, tenant: str, subjects: Collection[str]) -> Mapping[str, Key | None]:
        raise NothingPersonal(f"words of {sorted(subjects)}")

    async def create(self, tenant: str, subject: str) -> Key:
        raise NothingPersonal(f"words of {subject}")


class InMemoryKeyring:
    """For tests: the same promises, without a database."""

    def __init__(self, ids: IdGenerator | None = None) -> None:
        self._ids = ids or Uuid7()
        self._keys: dict[tuple[str, str], Key | None] = {}

    async def unwrap(self, tenant: str, subjects: Collection[str]) -> Mapping[str, Key | None]:
        held = {subject for subject in subjects if (tenant, subject) in self._keys}
        return {subject: self._keys[tenant, subject] for subject in held}

    async def create(self, tenant: str, subject: str) -> Key:
        fresh = Key(str(self._ids.new()), os.urandom(KEY_BYTES))
        key = self._keys.setdefault((tenant, subject), fresh)
        if key is None:
            raise forgotten(subject)
        return key

    async def forget(self, tenant: str, subject: str) -> None:
        self._keys[tenant, subject] = None


class PostgresKeyring:
    """Keys in the `keyring` database; `kek` (32 bytes) never gets there, nor any key in the clear.

    For the keyring alone, whose role may unwrap and create: `forget` needs its owner's rights.
    """

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        kek: bytes,
        ids: IdGenerator | None = None,
    ) -> None:
        if len(kek) != KEY_BYTES:
            raise ValueError(f"the key encryption key has {KEY_BYTES} bytes, not {len(kek)}")
        self._pool = pool
        self._ids = ids or Uuid7()
        self._wrapping = lru_cache(maxsize=1024)(lambda tenant: _wrapping_key(kek, tenant))

    async def unwrap(self, tenant: str, subjects: Collection[str]) -> Mapping[str, Key | None]:
        rows = await self._rows(UNWRAP, tenant, sorted(subjects))
        return {
            subject: None if wrapped is None else self._unwrapped(tenant, subject, key_id, wrapped)
            for subject, key_id, wrapped in rows
        }

    async def create(self, tenant: str, subject: str) -> Key:
        key_id = self._ids.new()
        nonce = os.urandom(NONCE_BYTES)
        secret = AESGCM.generate_key(bit_length=8 * KEY_BYTES)
        sealed = self._wrapping(tenant).encrypt(nonce, secret, _label(tenant, subject, key_id))
        try:
            ((held_id, held),) = await self._rows(CREATE, tenant, subject, key_id, nonce + sealed)
        except DatabaseError as error:
            if error.sqlstate == FORGOTTEN:
                raise forgotten(subject) from error
            raise
        return self._unwrapped(tenant, subject, held_id, held)

    async def forget(self, tenant: str, subject: str) -> None:
        await self._rows("SELECT keyring.forget(%s, %s)", tenant, subject)

    async def _rows(self, query: LiteralString, *parameters: object) -> list[tuple[Any, ...]]:
        """Asked twice where the first connection was dead: all do no more the second time."""
        try:
            return await self._asked(query, parameters)
        except (PoolClosed, PoolTimeout) as error:
            raise silent() from error
        except OperationalError:
            await self._pool.check()  # after a restart of the server they all are
        try:
            return await self._asked(query, parameters)
        except OperationalError as error:
            raise silent() from error

    async def _asked(
        self, query: LiteralString, parameters: Sequence[object]
    ) -> list[tuple[Any, ...]]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(query, parameters, binary=True)
            return await cursor.fetchall()

    def _unwrapped(self, tenant: str, subject: str, key_id: UUID, wrapped: bytes) -> Key:
        nonce, sealed = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
        label = _label(tenant, subject, key_id)
        try:
            return Key(str(key_id), self._wrapping(tenant).decrypt(nonce, sealed, label))
        except InvalidTag as error:
            raise KeyBroken(f"key {key_id} of {subject}") from error


def silent() -> KeyringUnavailable:
    return KeyringUnavailable("the keyring does not answer")


def forgotten(subject: str) -> SubjectForgotten:
    return SubjectForgotten("it was erased: nothing more is written about it", subject=subject)


def _wrapping_key(kek: bytes, tenant: str) -> AESGCM:
    info = b"bayline.keyring.v1|" + tenant.encode()
    return AESGCM(HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(kek))


def _label(tenant: str, subject: str, key_id: UUID) -> bytes:
    parts = (tenant.encode(), subject.encode(), key_id.bytes)
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
