"""Where exports go: a file, standard output, a topic of one's own."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path

from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from devstack import kafka
from devstack.accounts import Login
from devstack.api import Api
from devstack.failure import StackFailure
from messaging.kafka import connection

PARTITIONS = 16
UNACKNOWLEDGED = 1_000


async def to_file(api: Api, topic: str, until: str, query: Mapping[str, str], file: Path) -> str:
    """The file is there whole or not at all. Returns the cursor it ends at."""
    end = until or await present(api, topic)
    draft = file.with_name(f".{file.name}.part")
    try:
        with draft.open("wb") as stream:
            async for piece in _body(api, topic, end, query):
                stream.write(piece)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    return end


async def to_output(api: Api, topic: str, until: str, query: Mapping[str, str]) -> None:
    end = until or await present(api, topic)
    async for line in _lines(_body(api, topic, end, query)):
        sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


async def to_topic(
    api: Api, topic: str, until: str, query: Mapping[str, str], broker: Login, target: str
) -> int:
    """Each event as JSON, keyed by its stream, so that the order within a stream is kept."""
    end = until or await present(api, topic)
    try:
        await _made(broker, target)
        async with AIOKafkaProducer(
            **connection(broker), enable_idempotence=True, linger_ms=5
        ) as producer:
            return await _sent(producer, target, _lines(_body(api, topic, end, query)))
    except KafkaError as error:
        raise StackFailure(
            f"Kafka does not take it: {error}", hint="see `bayline status`"
        ) from error


async def _sent(producer: AIOKafkaProducer, target: str, lines: AsyncIterator[bytes]) -> int:
    """Returns how many, each acknowledged."""
    count, waiting = 0, []
    async for line in lines:
        event = json.loads(line)
        headers = [("ce_id", event["eventId"].encode()), ("ce_type", event["type"].encode())]
        key = event["stream"].encode()
        waiting.append(await producer.send(target, line.rstrip(), key=key, headers=headers))
        count += 1
        if len(waiting) == UNACKNOWLEDGED:
            await asyncio.gather(*waiting)
            waiting.clear()
    await asyncio.gather(*waiting)
    return count


async def present(api: Api, topic: str) -> str:
    """Where the topic stands now."""
    for stream in (await api.get("/v1/streams"))["streams"]:
        if stream["topic"] == topic:
            return str(stream["cursor"])
    raise StackFailure(f"there is no topic {topic}", hint="see `bayline streams ls`")


def _body(api: Api, topic: str, until: str, query: Mapping[str, str]) -> AsyncIterator[bytes]:
    return api.body(f"/v1/streams/{topic}/export", until=until, **query)


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Whole lines; raises what the last one says, if it says that the export broke."""
    rest = b""
    async for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            if line.startswith(b'{"problem":'):
                raise StackFailure(f"the export broke off: {line.decode()}", hint="begin again")
            yield line + b"\n"


async def _made(broker: Login, topic: str) -> None:
    async with kafka.admin(broker) as admin:
        answer = await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    for _, code, *_ in answer.topic_errors:
        with suppress(TopicAlreadyExistsError):
            if code:
                raise for_code(code)(topic)
