"""Server streams over HTTP: newline-delimited JSON and Server-Sent Events."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import orjson
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from starlette.types import Receive, Send

from transcoding.descriptors import Reflected
from transcoding.encoding import encoder_of

Problem: TypeAlias = Callable[[Exception], Mapping[str, Any]]

HEARTBEAT_SECONDS = 15.0
PATIENCE_SECONDS = 2.0
"""How long headers wait for the first message, so that an early refusal keeps its status."""

WAITING = 64
"""Messages that may wait for a slow client before its handler is held."""


@dataclass(frozen=True, slots=True)
class End:
    """Of a stream, with what broke it, if anything did."""

    error: Exception | None = None


@dataclass(eq=False, slots=True)
class Shared:
    """A message that many streams send: each form writes it once for all of them."""

    message: Any
    written: dict[type["Form"], bytes] = field(default_factory=dict)


Told: TypeAlias = Message | Shared


class Form(Protocol):
    """How a message, a problem and silence are written."""

    heartbeat: bytes
    patience: float | None

    def media_type(self, first: Told | End | None) -> bytes:
        """Of what begins like this; None if nothing came in time."""
        ...

    def frame(self, message: Message) -> bytes: ...

    def problem(self, problem: Mapping[str, Any]) -> bytes: ...


class NdjsonForm:
    """A line per message. A stream that fails ends with the line `{"problem": {...}}`."""

    heartbeat = b""
    patience: float | None = PATIENCE_SECONDS

    def __init__(self, descriptor: Descriptor) -> None:
        self._encode = encoder_of(descriptor)

    def media_type(self, first: object) -> bytes:
        return b"application/x-ndjson"

    def frame(self, message: Message) -> bytes:
        return orjson.dumps(self._encode(message), option=orjson.OPT_APPEND_NEWLINE)

    def problem(self, problem: Mapping[str, Any]) -> bytes:
        return orjson.dumps({"problem": problem}, option=orjson.OPT_APPEND_NEWLINE)


class EventsForm:
    """`id` is the message's `cursor`, `event` its `type`. A failure is `event: problem`."""

    heartbeat = b": keep-alive\n\n"
    patience: float | None = PATIENCE_SECONDS

    def __init__(self, descriptor: Descriptor) -> None:
        self._encode = encoder_of(descriptor)
        self._has_cursor = "cursor" in descriptor.fields_by_name
        self._has_type = "type" in descriptor.fields_by_name

    def media_type(self, first: object) -> bytes:
        return b"text/event-stream"

    def frame(self, message: Reflected) -> bytes:
        cursor = f"id: {_line(message.cursor)}\n" if self._has_cursor and message.cursor else ""
        event = f"event: {_line(message.type)}\n" if self._has_type and message.type else ""
        return f"{cursor}{event}data: ".encode() + orjson.dumps(self._encode(message)) + b"\n\n"

    def problem(self, problem: Mapping[str, Any]) -> bytes:
        return b"event: problem\ndata: " + orjson.dumps(problem) + b"\n\n"


def _line(value: str) -> str:
    return value.replace("\r", " ").replace("\n", " ")


def _written(form: Form, told: Told) -> bytes:
    if not isinstance(told, Shared):
        return form.frame(told)
    if type(form) not in told.written:
        told.written[type(form)] = form.frame(told.message)
    return told.written[type(form)]


async def respond(
    messages: AsyncIterator[Told],
    form: Form,
    receive: Receive,
    send: Send,
    *,
    problem: Problem,
    heartbeat: float = HEARTBEAT_SECONDS,
) -> None:
    """Streams until the handler ends or the client goes; either way both are closed.

    An error before the first message, if it comes soon, is raised; later it is the last frame.
    """
    arrived: asyncio.Queue[Told | End] = asyncio.Queue(WAITING)
    reading = asyncio.create_task(_read(messages, arrived))
    writing = asyncio.create_task(_write(arrived, form, send, problem, heartbeat))
    leaving = asyncio.create_task(_disconnected(receive))
    tasks = (reading, writing, leaving)
    try:
        done, _ = await asyncio.wait((writing, leaving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    (leaving if leaving in done else writing).result()


async def _read(messages: AsyncIterator[Told], arrived: asyncio.Queue[Told | End]) -> None:
    try:
        async for message in messages:
            await arrived.put(message)
    except Exception as error:  # noqa: BLE001 -- whatever breaks the handler ends the stream
        await arrived.put(End(error))
    else:
        await arrived.put(End())
    finally:
        if close := getattr(messages, "aclose", None):
            await close()


async def _write(
    arrived: asyncio.Queue[Told | End],
    form: Form,
    send: Send,
    problem: Problem,
    heartbeat: float,
) -> None:
    batch = await _next(arrived, form.patience and min(form.patience, heartbeat))
    if batch and isinstance(batch[0], End) and batch[0].error is not None:
        raise batch[0].error
    await send({"type": "http.response.start", "status": 200, "headers": _headers(form, batch)})
    while not (batch and isinstance(batch[-1], End)):
        frames = b"".join(_written(form, message) for message in batch) or form.heartbeat
        await _send(send, frames, more=True)
        batch = await _next(arrived, heartbeat)
    *messages, end = batch
    frames = b"".join(_written(form, message) for message in messages)
    if end.error is not None:
        frames += form.problem(problem(end.error))
    await _send(send, frames, more=False)


async def _next(arrived: asyncio.Queue[Told | End], seconds: float | None) -> list[Any]:
    """What has arrived, in order; nothing after so many seconds of silence."""
    try:
        async with asyncio.timeout(seconds):
            batch = [await arrived.get()]
    except TimeoutError:
        return []
    while not arrived.empty():
        batch.append(arrived.get_nowait())
    return batch


async def _send(send: Send, body: bytes, *, more: bool) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


def _headers(form: Form, batch: Sequence[Told | End]) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", form.media_type(next(iter(batch), None))),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),
    ]


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
