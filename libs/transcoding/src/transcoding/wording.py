"""What every document says in the same words: how it works, problems, headers."""

from transcoding import errors
from transcoding.descriptors import Json

HOW_IT_WORKS = """\
**Sign in.** Every call carries `Authorization: Bearer <token>`. The tenant comes from the token.

**Commands** are the calls with an `Idempotency-Key`. Choose a new key for each intent and send the
same key again when an answer was lost: the command has its effect once, and the answer is the same
(with `Idempotency-Replayed: true`). A command answers with the whole resource as it stands after it.

**Versions.** `ETag` is the version of a resource. Send it back as `If-Match` and a command is refused
if somebody else was faster. A GET with `If-None-Match` answers 304 while nothing has changed.

**Read your own writes.** Lists and histories follow the log within milliseconds. Send the
`Bayline-Position` of a command's answer as `Bayline-After`, and a read waits until it has seen it.

**JSON** is protobuf JSON: lowerCamelCase names, 64-bit integers as strings, times in RFC 3339 (of the
years 2 to 9998), durations as seconds (`"5400s"`), enums by name. An unknown field or parameter is an
error that names it, and so is a name that stands twice in an object. Bodies are sent whole within 30 s,
not compressed, and have a mebibyte at most; a query has a hundred parameters at most.
Fields without a value are answered with their default; optional ones are left out.

**Problems** are `application/problem+json` (RFC 9457). Switch on `type` or `reason`, never on text;
`errors` names each wrong field by JSON pointer; `correlation_id` finds the request in our logs.

**Streams** send one message per line (`application/x-ndjson`) or Server-Sent Events
(`text/event-stream`): `id` is the cursor, `event` the type, `data` the message. `EventSource` sends
`Last-Event-ID` itself when it reconnects, and goes on without gap or repeat. A stream that breaks ends
with the event `problem` (as NDJSON: the line `{"problem": ...}`).
"""


PROBLEM_SCHEMA: dict[str, Json] = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "description": "It resolves."},
        "title": {"type": "string", "description": "The kind of problem, in words."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {"type": "string", "description": "This very problem, in words."},
        "instance": {"type": "string", "format": "uri-reference"},
        "reason": {"type": "string", "description": "The kind of problem, for programs."},
        "errors": {
            "type": "array",
            "description": "Every wrong field.",
            "items": {
                "type": "object",
                "properties": {
                    "pointer": {
                        "type": "string",
                        "format": "json-pointer",
                        "description": "Into the request: `/lines/0/quantity`.",
                    },
                    "detail": {"type": "string"},
                },
                "required": ["pointer", "detail"],
            },
        },
        "correlation_id": {"type": "string", "description": "Finds the request in our logs."},
    },
    "required": ["type", "title", "status", "reason"],
}

TEXT = {"type": "string"}
HEADER_PARAMETERS: dict[str, dict[str, Json]] = {
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": True,
        "description": "A new key for each intent; the same key when the command is sent again.",
        "schema": TEXT | {"pattern": "^[!-~]{8,128}$"},
        "example": "0190a5d2-7c1e-7b3a-9f00-00000000000a",
    },
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "description": 'The ETag that was seen, such as `"7"`: refuses the command if there is a newer one.',
        "schema": TEXT,
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "description": 'The ETag that is known, such as `"7"`: answers 304 if there is no newer one.',
        "schema": TEXT,
    },
    "BaylineAfter": {
        "name": "Bayline-After",
        "in": "header",
        "description": "The Bayline-Position of a command: waits until this read has seen it.",
        "schema": TEXT,
    },
    "LastEventId": {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "The id of the last event that was seen: goes on right after it.",
        "schema": TEXT,
    },
}
RESPONSE_HEADERS: dict[str, dict[str, Json]] = {
    "ETag": {"description": "The version of the resource.", "schema": TEXT, "example": '"8"'},
    "Bayline-Position": {
        "description": "Where the command's events stand; send it as Bayline-After.",
        "schema": TEXT,
    },
    "Idempotency-Replayed": {
        "description": "`true` when the key was used before and nothing new happened.",
        "schema": TEXT | {"enum": ["true"]},
    },
}

OWN_PROBLEMS: dict[str, tuple[int, str]] = {
    errors.IdempotencyKeyRequired.reason: (400, "The command has no Idempotency-Key"),
    errors.InvalidHeader.reason: (400, "A header has a value it may not have"),
    errors.InvalidParameter.reason: (400, "A parameter is unknown or mistyped"),
    errors.MalformedJson.reason: (400, "The body is not JSON"),
    errors.NameRepeated.reason: (400, "A name stands twice in an object"),
    errors.BodyMissing.reason: (400, "The body is missing"),
    errors.UnsupportedMediaType.reason: (415, "The body is not declared as JSON"),
    errors.InvalidBody.reason: (422, "The body does not fit the schema"),
}
