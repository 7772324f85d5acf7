"""One line per fact, as JSON or in columns, repeated ones counted; what is personal or secret does not get through."""

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger

from runtime import context
from runtime.repeats import Sparing, add_count
from runtime.settings import Telemetry

REDACTED = "[redacted]"
PRIVATE_KEYS = re.compile(
    r"authorization|token|secret|password|dsn|cookie|api_?key|kek"
    r"|e?_?mail|phone|vin|plate|driver(_name)?|address|location",
    re.IGNORECASE,
)
# Every repeat is possessive and takes the whole of a run of characters, so that a run is read once,
# not once from each of its characters: whoever writes a header decides how long it is.
TOKEN = re.compile(r"eyJ[\w-]++(\.[\w-]++\.[\w-]*+)?+")  # a JWT where there are dots
PRIVATE_VALUES = re.compile(
    r"(?<=://)[^/\s:@]++:[^/\s@]++(?=@)"  # user and password in an address
    r"|\b(?=[A-HJ-NPR-Z]*+\d)[A-HJ-NPR-Z0-9]{17}\b"  # a VIN
    r"|(?<![\w.+-])[\w.+-]++@[\w-]++\.[\w.-]++"  # an e-mail address
)


def configure(settings: Telemetry, service: str) -> None:
    """Everything goes to stdout through structlog, the libraries' own logging included."""

    def name_service(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event.setdefault("service", service)
        return event

    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        name_service,
        add_call,
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = Sparing(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                add_count,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _renderer(settings),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("").setLevel(logging.INFO)
    for chatty in ("aiohttp.access", "psycopg.pool", "grpc"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # Ten times a second while a broker is away. Who uses it tells when trouble begins and is over.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def _renderer(settings: Telemetry) -> structlog.typing.Processor:
    if settings.logs == "columns":
        return structlog.dev.ConsoleRenderer(
            colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    return structlog.processors.JSONRenderer(serializer=_json)


def _json(event: Mapping[str, Any], **_: object) -> str:
    return orjson.dumps(event, default=str).decode()


def add_call(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The call in progress, without binding anything on every call."""
    call = context.current()
    if call is not None:
        event.setdefault("correlation_id", call.correlation_id)
        event.setdefault("method", call.method)
        if call.traceparent:
            event.setdefault("trace_id", call.traceparent.split("-")[1])
    return event


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {key: redacted(key, value) for key, value in event.items()}


def redacted(key: str, value: object) -> object:
    if PRIVATE_KEYS.fullmatch(key) and value:
        return REDACTED
    if isinstance(value, str):
        return PRIVATE_VALUES.sub(REDACTED, TOKEN.sub(_without_token, value))
    if isinstance(value, Mapping):
        return {name: redacted(str(name), item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redacted(key, item) for item in value]
    return value


def _without_token(found: re.Match[str]) -> str:
    return REDACTED if found[1] else found[0]
