"""The OpenAPI 3.1 document of the services, out of the same descriptors as the routes."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import NamedTuple

import orjson
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor

from transcoding import errors
from transcoding.comments import contract_comments, first_sentence
from transcoding.contract import Binding, Variable, bindings, body_fields, needs_body
from transcoding.descriptors import Json, is_required, method_rules
from transcoding.examples import Examples
from transcoding.query import Parameter, parameters
from transcoding.samples import Samples
from transcoding.schemas import Schemas, reachable, reference
from transcoding.wording import (
    HEADER_PARAMETERS,
    HOW_IT_WORKS,
    OWN_PROBLEMS,
    PROBLEM_SCHEMA,
    RESPONSE_HEADERS,
    TEXT,
)

STALE = "STALE_VERSION"
"""What a refused `If-Match` is called."""
BYTES = {"type": "string", "format": "binary"}


class Problem(NamedTuple):
    """What a reason is answered with."""

    status: int
    title: str


def document(
    services: Iterable[ServiceDescriptor],
    title: str,
    version: str,
    problems: Mapping[str, tuple[int, str]],
    *,
    common: Collection[str] = (),
    of_commands: Collection[str] = (),
    comments: Mapping[str, str] | None = None,
    description: str = HOW_IT_WORKS,
    openid_url: str = "",
    server: str = "/",
) -> dict[str, Json]:
    """The document; the same descriptors give the same bytes.

    `problems` maps a reason to status and title; `common` are the reasons that every method
    may answer with, `of_commands` those of every command. `openid_url` is the issuer's discovery address, if people sign in there.
    """
    found = list(bindings(services))
    known = {reason: Problem(*each) for reason, each in {**OWN_PROBLEMS, **problems}.items()}
    writer = Writer(
        found,
        contract_comments() if comments is None else comments,
        known,
        (common, of_commands),
        server,
    )
    schemes: dict[str, Json] = {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    if openid_url:
        schemes["openid"] = {"type": "openIdConnect", "openIdConnectUrl": openid_url}
    paths = writer.paths()
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "info": {"title": title, "version": version, "description": description},
        "servers": [{"url": server}],
        "security": [{name: []} for name in schemes],
        "tags": writer.tags(),
        "paths": paths,
        "components": {
            "schemas": dict(sorted(writer.schemas.components.items())),
            "parameters": HEADER_PARAMETERS,
            "headers": RESPONSE_HEADERS,
            "examples": dict(sorted(writer.examples.items())),
            "securitySchemes": schemes,
        },
    }


class Writer:
    """Writes the operations of one document."""

    def __init__(
        self,
        found: Sequence[Binding],
        comments: Mapping[str, str],
        problems: Mapping[str, Problem],
        common: tuple[Collection[str], Collection[str]],
        server: str,
    ) -> None:
        self._found = found
        self._comments = comments
        self._problems = problems
        self._of_all, self._of_commands = common
        self._server = server.rstrip("/")
        sent = reachable(binding.method.input_type for binding in found)
        answers = (binding.method.output_type for binding in found)
        answered = reachable(each for each in answers if each is not HttpBody.DESCRIPTOR)
        types = {**sent, **answered}.values()
        self._examples = Examples(each for each in types if isinstance(each, Descriptor))
        self._samples = Samples(self._examples)
        self.schemas = Schemas(comments, sent, answered)
        self.schemas.components["Problem"] = PROBLEM_SCHEMA
        self.examples: dict[str, dict[str, Json]] = {}

    def paths(self) -> dict[str, Json]:
        paths: dict[str, dict[str, Json]] = {}
        ids = Counter(operation_id(binding) for binding in self._found)
        for binding in self._found:
            if ids[operation_id(binding)] > 1:
                raise ValueError(f"two methods are called {binding.method.name}")
            paths.setdefault(binding.path, {})[binding.verb.lower()] = self._operation(binding)
        return paths

    def tags(self) -> list[dict[str, Json]]:
        """One per collection. What a service is about is said once, at its first collection."""
        firsts: dict[str, str] = {}
        for each in self._found:
            firsts.setdefault(each.method.containing_service.full_name, tag(each))
        said = {first: self._comments.get(owner, "") for owner, first in firsts.items()}
        names = dict.fromkeys(map(tag, self._found))
        return [{"name": name, "description": said.get(name, "")} for name in names]

    def _operation(self, binding: Binding) -> dict[str, Json]:
        method = binding.method
        said = self._comments.get(method.full_name, "")
        operation: dict[str, Json] = {
            "operationId": operation_id(binding),
            "tags": [tag(binding)],
            "summary": first_sentence(said),
            "description": said,
            "parameters": [
                *self._path_parameters(binding),
                *(self._query_parameter(each) for each in parameters(binding.query_fields)),
                *({"$ref": f"#/components/parameters/{name}"} for name in header_names(binding)),
            ],
        }
        body = self._body(binding)
        if body:
            operation["requestBody"] = body
        operation["responses"] = self._responses(binding)
        operation["x-codeSamples"] = [
            {"lang": "Shell", "label": "curl", "source": self._samples.curl(binding)}
        ]
        return operation

    def _path_parameters(self, binding: Binding) -> Iterator[dict[str, Json]]:
        fields = binding.method.input_type.fields_by_name
        for variable in binding.variables:
            said = self._comments.get(fields[variable.field].full_name, "")
            for name, example in self._samples.ids(variable, fields[variable.field]).items():
                yield {
                    "name": name,
                    "in": "path",
                    "required": True,
                    "description": _path_description(variable, said),
                    "schema": TEXT if variable.template == "*" else TEXT | {"format": "uuid"},
                    "example": example,
                }

    def _query_parameter(self, parameter: Parameter) -> dict[str, Json]:
        schema = self.schemas.field(parameter.field, sent=True)
        described = {key: schema[key] for key in ("description",) if key in schema}
        plain = {key: each for key, each in schema.items() if key not in described}
        return {
            "name": parameter.name,
            "in": "query",
            **({"required": True} if is_required(parameter.field) else {}),
            **described,
            "schema": plain,
        }

    def _body(self, binding: Binding) -> dict[str, Json]:
        fields = body_fields(binding)
        if not fields:
            return {}
        if binding.body == "*":
            schema = self.schemas.body(_body_name(binding), binding.method.input_type, fields)
        else:
            schema = self.schemas.field(fields[0], sent=True)
        return {
            "required": needs_body(binding),
            "content": {
                "application/json": {"schema": schema, "examples": self._body_examples(binding)}
            },
        }

    def _responses(self, binding: Binding) -> dict[str, Json]:
        answers = {"200": self._success(binding)}
        if "IfNoneMatch" in header_names(binding):
            answers["304"] = {"description": "Nothing has changed since that ETag."}
        by_status: dict[str, list[str]] = defaultdict(list)
        for reason in self._reasons(binding):
            problem = self._problems.get(reason)
            by_status[str(problem.status) if problem else "default"].append(reason)
        if "IfMatch" in header_names(binding):
            by_status["412"].append(STALE)
        for status, reasons in sorted(by_status.items()):
            answers[status] = self._refusal(status, reasons)
        return answers

    def _success(self, binding: Binding) -> dict[str, Json]:
        method = binding.method
        about = self._comments.get(method.output_type.full_name, "") or "What was asked for."
        answer: dict[str, Json] = {"description": about, "content": self._content(method)}
        names = ["ETag", "Bayline-Position", "Idempotency-Replayed"]
        if not method_rules(method).command:
            names = ["ETag"] if "IfNoneMatch" in header_names(binding) else []
        if names:
            answer["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
        return answer

    def _content(self, method: MethodDescriptor) -> dict[str, Json]:
        if method.output_type is HttpBody.DESCRIPTOR:
            return {name: {"schema": BYTES} for name in method_rules(method).media_types}
        schema = self.schemas.answered(method.output_type)
        example = self._examples.answered(method.output_type)
        name = schema.get("$ref", method.output_type.name).rpartition("/")[2]
        shown = self._example(name, example)
        if not method.server_streaming:
            return {"application/json": {"schema": schema, "examples": shown}}
        line = orjson.dumps(example).decode()
        frame = (
            f"id: {example.get('cursor', '')}\nevent: {example.get('type', '')}\ndata: {line}\n\n"
        )
        events = {"schema": TEXT | {"description": "`data` is one message."}, "example": frame}
        lines = {"schema": schema, "examples": shown}
        if method_rules(method).events:
            return {"text/event-stream": events, "application/x-ndjson": lines}
        return {"application/x-ndjson": lines, "text/event-stream": events}

    def _reasons(self, binding: Binding) -> list[str]:
        rules = method_rules(binding.method)
        of_commands = self._of_commands if rules.command else ()
        return sorted({*own_reasons(binding), *self._of_all, *of_commands, *rules.problems})

    def _refusal(self, status: str, reasons: list[str]) -> dict[str, Json]:
        listed = [f"- `{reason}`: {self._title(reason)}" for reason in reasons]
        phrase = "Another problem" if status == "default" else HTTPStatus(int(status)).phrase
        shown: dict[str, Json] = {}
        for reason in reasons:
            shown |= self._example(reason, self._problem_example(reason))
        return {
            "description": "\n".join([f"{phrase}:", "", *listed]),
            "content": {
                "application/problem+json": {"schema": reference("Problem"), "examples": shown}
            },
        }

    def _title(self, reason: str) -> str:
        problem = self._problems.get(reason)
        return problem.title if problem else reason.replace("_", " ").capitalize()

    def _problem_example(self, reason: str) -> dict[str, Json]:
        problem = self._problems.get(reason)
        return {
            "type": f"{self._server}/problems/{reason.lower().replace('_', '-')}",
            "title": self._title(reason),
            "status": problem.status if problem else 409,
            "reason": reason,
        }

    def _example(self, name: str, value: Json) -> dict[str, Json]:
        self.examples[name] = {"value": value}
        return {name: {"$ref": f"#/components/examples/{name}"}}

    def _body_examples(self, binding: Binding) -> dict[str, Json]:
        required = self._samples.body(binding, complete=False)
        complete = self._samples.body(binding, complete=True)
        if required == complete:
            return {"example": {"value": complete}}
        return {
            "required": {"summary": "Only what must be there", "value": required},
            "complete": {"summary": "All that may be there", "value": complete},
        }


def operation_id(binding: Binding) -> str:
    name = binding.method.name
    suffix = str(binding.index + 1) if binding.index else ""
    return name[0].lower() + name[1:] + suffix


def tag(binding: Binding) -> str:
    """The collection: `Jobs` for everything below `/v1/jobs`."""
    segment = binding.path.split("/")[2].split(":")[0]
    return segment[0].upper() + segment[1:]


def header_names(binding: Binding) -> list[str]:
    method = binding.method
    sent, answered = method.input_type.fields_by_name, method.output_type.fields_by_name
    is_read = binding.verb == "GET" and not method.server_streaming
    names = {
        "IdempotencyKey": method_rules(method).command,
        "IfMatch": binding.verb != "GET" and "etag" in sent,
        "IfNoneMatch": is_read and "etag" in answered,
        "BaylineAfter": is_read,
        "LastEventId": method.server_streaming and "cursor" in sent,
    }
    return [name for name, applies in names.items() if applies]


def own_reasons(binding: Binding) -> Iterator[str]:
    """What this library itself refuses."""
    yield errors.InvalidHeader.reason
    yield errors.InvalidParameter.reason
    if method_rules(binding.method).command:
        yield errors.IdempotencyKeyRequired.reason
    if binding.body:
        yield errors.MalformedJson.reason
        yield errors.NameRepeated.reason
        yield errors.UnsupportedMediaType.reason
        yield errors.InvalidBody.reason
    if needs_body(binding):
        yield errors.BodyMissing.reason


def _body_name(binding: Binding) -> str:
    name = binding.method.input_type.name
    return f"{name}{binding.index + 1}" if binding.index else name


def _path_description(variable: Variable, said: str) -> str:
    if variable.template == "*":
        return said
    return f"The id within the name `{variable.template.replace('*', '<id>')}`."
