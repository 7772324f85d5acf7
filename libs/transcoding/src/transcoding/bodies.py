"""Bodies that are no JSON: a stream of google.api.HttpBody, sent as it comes."""

from collections.abc import Mapping
from typing import Any

import orjson
from google.api.httpbody_pb2 import HttpBody

from transcoding.descriptors import Reflected

NDJSON = "application/x-ndjson"


class BodyBroken(Exception):
    """It cannot be ended well, so the connection is cut: what the client has is not whole."""


class BodyForm:
    """The first message says the media type. Headers wait for it, so a refusal keeps its status."""

    heartbeat = b""
    patience: float | None = None

    def __init__(self) -> None:
        self._type = ""

    def media_type(self, first: Reflected) -> bytes:
        self._type = first.content_type if isinstance(first, HttpBody) else NDJSON
        return self._type.encode()

    def frame(self, message: Reflected) -> bytes:
        data: bytes = message.data
        return data

    def problem(self, problem: Mapping[str, Any]) -> bytes:
        if self._type != NDJSON:
            raise BodyBroken(str(problem.get("reason", "")))
        return orjson.dumps({"problem": problem}, option=orjson.OPT_APPEND_NEWLINE)
