"""What a stranger may send to the real server, byte by byte: every refusal is typed, and none is ours."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from starlette.types import ASGIApp

from devstack.ports import HOST
from gateway.settings import Limits, Settings
from testkit.asgi import Call, FakeHandler, request
from testkit.tokens import Issuer
from testkit.topics import eventually

JOBS = "POST /v1/jobs HTTP/1.1"
LARGE = 5_000
PATIENCE_SECONDS = 5.0
BODY_SECONDS = 0.4
DRIP_SECONDS = 0.05

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Said:
    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.raw)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    http = settings.http.model_copy(
        update={"body_seconds": BODY_SECONDS, "hosts": ("localhost:8080",)}
    )
    return settings.model_copy(update={"http": http})


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield reader, writer
    finally:
        writer.close()


async def said(reader: asyncio.StreamReader) -> Said:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    pairs = (line.partition(": ") for line in head[1:] if line)
    headers = {name.lower(): value for name, _, value in pairs}
    raw = await reader.readexactly(int(headers["content-length"]))
    return Said(int(head[0].split()[1]), headers, raw)


async def asked(port: int, raw: bytes) -> Said:
    async with connected(port) as (reader, writer):
        writer.write(raw)
        return await said(reader)


def lines(first: str, *headers: str, host: str = "bayline.test") -> bytes:
    return "\r\n".join([first, f"Host: {host}", *headers, "", ""]).encode("latin-1")


def bearer(token: str) -> str:
    return f"Authorization: Bearer {token}"


def command(token: str, *headers: str) -> bytes:
    json = "Content-Type: application/json"
    return lines(JOBS, bearer(token), json, "Idempotency-Key: a-key-of-mine", *headers)


BODY_TO_COME = ("Content-Type: nonsense", "Content-Length: 1000")


async def test_nobody_is_waited_for_who_is_refused_anyway(
    served: int, issuer: Issuer, service: FakeHandler
) -> None:
    parked = issuer.token(roles=["driver"])
    refused = {
        "TOKEN_MISSING": lines(JOBS, *BODY_TO_COME),
        "TOKEN_INVALID": lines(JOBS, bearer("x.y.z"), *BODY_TO_COME),
        "TOKEN_EXPIRED": lines(JOBS, bearer(issuer.token(seconds=-60)), *BODY_TO_COME),
        "PERMISSION_DENIED": lines(
            "POST /v1/sites HTTP/1.1", bearer(parked), "Idempotency-Key: short", *BODY_TO_COME
        ),
        "BODY_TOO_LARGE": lines(JOBS, f"Content-Length: {LARGE}"),
    }

    answers = {reason: await asked(served, raw) for reason, raw in refused.items()}

    assert {reason: each.json["reason"] for reason, each in answers.items()} == {
        reason: reason for reason in refused
    }
    assert service.asked == []


class TestHowOften:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"limits": Limits(rate="1/minute")})

    async def test_who_asks_too_often_is_refused_before_the_body_has_come(
        self, served: int, issuer: Issuer
    ) -> None:
        await asked(served, lines("GET /v1/jobs HTTP/1.1", bearer(issuer.token())))

        answer = await asked(served, lines(JOBS, bearer(issuer.token()), *BODY_TO_COME))

        assert (answer.status, answer.json["reason"]) == (429, "RATE_LIMITED")


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/jobs:nothing", "/v1/"])
async def test_a_stranger_does_not_learn_which_addresses_there_are(call: Call, path: str) -> None:
    assert (await call("GET", path, token="")).json["reason"] == "TOKEN_MISSING"


async def test_a_browser_may_read_why_it_is_refused_and_asks_without_a_token(call: Call) -> None:
    origin = "http://localhost:5173"
    refused = await call("GET", "/v1/jobs", token="", origin=origin)
    preflight = await call(
        "OPTIONS",
        "/v1/jobs",
        token="",
        origin=origin,
        access_control_request_method="POST",
        access_control_request_headers="Authorization",
    )

    assert (refused.status, preflight.status) == (401, 200)
    assert refused.headers["access-control-allow-origin"] == origin
    assert refused.json["correlation_id"] == refused.headers["bayline-correlation-id"]


@pytest.mark.parametrize(
    "host", ["bayline.test", "BAYLINE.test", "bayline.test:443", "localhost:8080"]
)
async def test_the_gateway_answers_to_its_own_names(call: Call, host: str) -> None:
    assert (await call("GET", "/v1/jobs", host=host)).status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.test", "bayline.test.evil.test", "bayline.test:8080", "localhost", "", "[::1", "a:b:c"],
)
@pytest.mark.parametrize("path", ["/v1/jobs", "/openapi.json"])
async def test_it_answers_to_no_other(call: Call, host: str, path: str) -> None:
    answer = await call("GET", path, host=host)

    assert (answer.status, answer.json["reason"]) == (421, "HOST_UNKNOWN")
    assert answer.json["host"] == "bayline.test"


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_probes_ask_by_address(call: Call, path: str) -> None:
    assert (await call("GET", path, token="", host="10.1.2.3:8090")).status == 200


REPEATED = {
    "host": ("Host: bayline.test",),
    "authorization": ("Authorization: Bearer x", "Authorization: Bearer y"),
    "transfer-encoding": ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    "content-type": ("Content-Type: application/json", "content-type: text/plain"),
    "content-encoding": ("Content-Encoding: gzip", "Content-Encoding: identity"),
    "idempotency-key": ("Idempotency-Key: a-key-of-mine", "Idempotency-Key: a-key-of-mine"),
}


@pytest.mark.parametrize("name", REPEATED)
async def test_a_header_that_two_could_read_differently_is_refused(served: int, name: str) -> None:
    answer = await asked(served, lines(JOBS, *REPEATED[name]))

    assert (answer.status, answer.json["reason"]) == (400, "HEADER_REPEATED")
    assert answer.json["header"] == name


@pytest.mark.parametrize("encoding", ["gzip, chunked", "Chunked, identity", "chunked;x=1"])
async def test_a_body_is_framed_in_one_way_only(served: int, encoding: str) -> None:
    answer = await asked(served, lines(JOBS, f"Transfer-Encoding: {encoding}"))

    assert answer.status == 400


@pytest.mark.parametrize(
    "lengths", [("Content-Length: 2", "Content-Length: 3"), ("Content-Length: 2, 2",)]
)
async def test_lengths_that_contradict_each_other_end_the_connection(
    served: int, lengths: tuple[str, ...]
) -> None:
    async with connected(served) as (reader, writer):
        writer.write(lines(JOBS, *lengths) + b"{}")

        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")


async def test_a_length_beside_chunks_is_never_believed(served: int, issuer: Issuer) -> None:
    """The server drops the length, reads the chunks, and takes no second request from behind them."""
    raw = command(issuer.token(), "Content-Length: 4", "Transfer-Encoding: chunked")
    async with connected(served) as (reader, writer):
        writer.write(raw + b"2\r\n{}\r\n0\r\n\r\n" + lines("GET /livez HTTP/1.1"))
        everything = await reader.read()

    assert everything.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(("encoding", "status"), [("identity", 200), ("gzip", 415), ("br", 415)])
async def test_a_compressed_body_is_not_taken_for_a_plain_one(
    call: Call, encoding: str, status: int
) -> None:
    answer = await call("GET", "/v1/jobs", content_encoding=encoding)

    assert answer.status == status
    assert status == 200 or answer.json["reason"] == "CONTENT_ENCODING_UNSUPPORTED"


@pytest.mark.parametrize(
    "chunks",
    [
        b"ZZ\r\n{}\r\n0\r\n\r\n",
        b"2\r\n{}XX\r\n0\r\n\r\n",
        b"-2\r\n{}\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        b"2\r\n{}\r\n0\r\nnot a trailer\r\n\r\n",
    ],
)
async def test_broken_chunks_are_the_callers_mistake(
    served: int, issuer: Issuer, service: FakeHandler, chunks: bytes
) -> None:
    answer = await asked(served, command(issuer.token(), "Transfer-Encoding: chunked") + chunks)

    assert (answer.status, answer.json["reason"]) == (400, "BODY_INCOMPLETE")
    assert service.asked == []


@pytest.mark.parametrize(("verb", "path"), [("POST", "/v1/jobs"), ("GET", "/v1/jobs:stream")])
async def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_error_of_ours(
    app: ASGIApp, issuer: Issuer, service: FakeHandler, verb: str, path: str
) -> None:
    service.answers["StreamJobs"] = NotImplementedError("never asked")
    headers = {
        "host": "bayline.test",
        "authorization": f"Bearer {issuer.token()}",
        "idempotency-key": "a-key-of-mine",
    }

    answer = await request(app, verb, path, headers, b'{"complaint', leaves=True)

    assert (answer.status, answer.json["reason"]) == (400, "BODY_INCOMPLETE")


async def test_a_body_that_drips_is_given_up_and_its_connection_freed(
    served: int, issuer: Issuer, service: FakeHandler
) -> None:
    loop = asyncio.get_running_loop()
    async with connected(served) as (reader, writer):
        writer.write(command(issuer.token(), "Content-Length: 4000"))

        def drip() -> None:
            if not writer.is_closing():
                writer.write(b" ")
                loop.call_later(DRIP_SECONDS, drip)

        drip()
        answer = await said(reader)
        assert await reader.read() == b""

    assert (answer.status, answer.json["reason"]) == (408, "BODY_TOO_SLOW")
    assert answer.json["limitSeconds"] == "0.4"
    assert service.asked == []


async def test_a_body_that_comes_in_time_may_come_in_pieces(
    served: int, issuer: Issuer, service: FakeHandler
) -> None:
    body = b'{"vehicle": "vehicles/0190a5d2-7c1e-7b3a-9f00-000000000001", "complaint": "it smokes"}'
    async with connected(served) as (reader, writer):
        writer.write(command(issuer.token(), f"Content-Length: {len(body)}") + body[:10])
        await writer.drain()
        asyncio.get_running_loop().call_later(DRIP_SECONDS, writer.write, body[10:])
        answer = await said(reader)

    assert answer.status == 200, answer.raw
    assert [name for name, *_ in service.asked] == ["RequestJob"]


async def test_a_stream_lives_longer_than_a_body_may_take(
    served: int, issuer: Issuer, service: FakeHandler
) -> None:
    service.goes_on = True
    loop = asyncio.get_running_loop()
    async with connected(served) as (reader, writer):
        writer.write(lines("GET /v1/jobs:stream HTTP/1.1", bearer(issuer.token())))
        await reader.readuntil(b"data: ")
        later = loop.create_future()
        loop.call_later(2 * BODY_SECONDS, later.set_result, None)
        await later

        assert not reader.at_eof()


class TestOneStream:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"limits": Limits(streams_per_caller=1)})

    async def test_a_connection_that_is_cut_makes_room_for_the_next_stream(
        self, served: int, issuer: Issuer, service: FakeHandler
    ) -> None:
        service.goes_on = True
        stream = lines("GET /v1/jobs:stream HTTP/1.1", bearer(issuer.token()))

        async with connected(served) as (reader, writer):
            writer.write(stream)
            await reader.readuntil(b"data: ")
            refused = await asked(served, stream)
            writer.transport.abort()
        await eventually(lambda: _begins(served, stream))

        assert (refused.status, refused.headers["retry-after"]) == (429, "5")


async def _begins(port: int, stream: bytes) -> bool:
    async with connected(port) as (reader, writer):
        writer.write(stream)
        return await reader.readline() == b"HTTP/1.1 200 OK\r\n"


async def test_headers_without_end_are_not_collected(served: int) -> None:
    async with connected(served) as (reader, writer):
        writer.write(b"GET /livez HTTP/1.1\r\nX: " + b"a" * 300_000 + b"\r\n\r\n")

        assert (await reader.read()).startswith(b"HTTP/1.1 431 ")
