"""Who may do what on the broker: an account for each service, and rights to no more than it needs."""

import asyncio
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code
from aiokafka.protocol.admin import CreateAclsRequest_v1, DescribeAclsRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    CompactArray,
    CompactBytes,
    CompactString,
    Int8,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)
from pydantic import SecretStr

from devstack import topology
from devstack.topology import Service
from messaging.dlq import dlq_of

ADMIN = "admin"
SCRAM_SHA_512 = 2
ITERATIONS = 4096
ALLOW = 3
ANY = 1
KNOWN_SECONDS, POLL_SECONDS = 20.0, 0.05
ANY_HOST = "*"


class Resource(IntEnum):
    TOPIC = 2
    GROUP = 3


class Pattern(IntEnum):
    LITERAL = 3
    PREFIXED = 4


class Operation(IntEnum):
    READ = 3
    WRITE = 4


@dataclass(frozen=True, slots=True)
class Login:
    """A broker, and as whom to speak to it."""

    bootstrap: str
    user: str = ""
    password: SecretStr = field(default_factory=lambda: SecretStr(""))


@dataclass(frozen=True, slots=True)
class Right:
    user: str
    operation: Operation
    resource: Resource
    name: str
    pattern: Pattern = Pattern.LITERAL


def rights_of(service: Service, prefix: str = "") -> Iterator[Right]:
    """It publishes its own logs, reads those of its peers too, and parks what it cannot read.

    The audit parks nothing, and publishes what it signs.

    With a prefix the topics of a test, whose broker others use as well.
    """
    own = [log for log in topology.logs() if topology.owner_of(log) == service.name]
    read = [log for log in topology.logs() if topology.owner_of(log) in service.peers] + own
    writes = [*own, *map(dlq_of, read)] if service.event_sourced else []
    writes += [topology.CHECKPOINTS] if service is topology.AUDIT else []
    for topic in read:
        yield Right(service.name, Operation.READ, Resource.TOPIC, prefix + topic)
    for topic in writes:
        yield Right(service.name, Operation.WRITE, Resource.TOPIC, prefix + topic)
    groups = f"{service.name}."
    yield Right(service.name, Operation.READ, Resource.GROUP, groups, Pattern.PREFIXED)


async def admit(
    client: AIOKafkaAdminClient, passwords: Mapping[str, str], rights: Sequence[Right]
) -> None:
    """Sets passwords and grants rights, and returns when the broker goes by them.

    What stands already may be said again.
    """
    answer = await client._send_request(_SetPasswords(passwords))  # noqa: SLF001 -- aiokafka has no call for it
    _raise_first((code, message) for _, code, message, _ in answer.results)
    answer = await client._send_request(_Grant(rights))  # noqa: SLF001 -- see above
    _raise_first(answer.creation_responses)
    async with asyncio.timeout(KNOWN_SECONDS):
        while True:
            if await _granted(client) >= set(rights):
                return
            await asyncio.sleep(POLL_SECONDS)


async def _granted(client: AIOKafkaAdminClient) -> set[Right]:
    """As the broker knows them now: it learns of new ones a moment after they were made."""
    everything = DescribeAclsRequest(ANY, None, ANY, None, None, ANY, ANY)
    answer = await client._send_request(everything)  # noqa: SLF001 -- see above
    _raise_first([(answer.error_code, answer.error_message)])
    return {
        Right(
            principal.removeprefix("User:"),
            Operation(operation),
            Resource(resource),
            name,
            Pattern(pattern),
        )
        for resource, name, pattern, acls in answer.resources
        for principal, _, operation, _ in acls
    }


def _raise_first(answers: Any) -> None:
    for code, message in answers:
        if code:
            raise for_code(code)(message)


class _AlterScramResponse(Response):  # type: ignore[misc]  # aiokafka ships no types
    API_KEY = 51
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            CompactArray(
                ("user", CompactString("utf-8")),
                ("error_code", Int16),
                ("error_message", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _AlterScramRequest(RequestStruct):  # type: ignore[misc]
    """KIP-554. Deletions, then what is set: name, mechanism, iterations, salt, salted password."""

    FLEXIBLE_VERSION = True
    API_KEY = 51
    API_VERSION = 0
    RESPONSE_TYPE = _AlterScramResponse
    SCHEMA = Schema(
        (
            "deletions",
            CompactArray(
                ("name", CompactString("utf-8")), ("mechanism", Int8), ("tags", TaggedFields)
            ),
        ),
        (
            "upsertions",
            CompactArray(
                ("name", CompactString("utf-8")),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted_password", CompactBytes),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _SetPasswords(Request[_AlterScramRequest]):  # type: ignore[misc]
    API_KEY = 51

    def __init__(self, passwords: Mapping[str, str]) -> None:
        self._rows = [_salted(user, password) for user, password in passwords.items()]

    def build(self, request_struct_class: type[_AlterScramRequest]) -> _AlterScramRequest:
        return request_struct_class([], self._rows, {})


class _Grant(Request[CreateAclsRequest_v1]):  # type: ignore[misc]
    API_KEY = 30

    def __init__(self, rights: Sequence[Right]) -> None:
        self._rows = [
            (
                each.resource,
                each.name,
                each.pattern,
                f"User:{each.user}",
                ANY_HOST,
                each.operation,
                ALLOW,
            )
            for each in rights
        ]

    def build(self, request_struct_class: type[CreateAclsRequest_v1]) -> CreateAclsRequest_v1:
        return request_struct_class(self._rows)


def _salted(user: str, password: str) -> tuple[str, int, int, bytes, bytes, dict[int, bytes]]:
    salt = os.urandom(24)
    salted = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    return user, SCRAM_SHA_512, ITERATIONS, salt, salted, {}
