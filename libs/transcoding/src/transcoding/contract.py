"""What the descriptors say about REST: bindings out of google.api.http, rules of fields."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor import (
    FieldDescriptor,
    MethodDescriptor,
    ServiceDescriptor,
)

from transcoding.descriptors import camel, is_required, method_rules, singular

HEADER_FIELDS = ("request_id", "etag")
"""Fields of a request that REST fills from headers: `Idempotency-Key` and `If-Match`."""

VARIABLE = re.compile(r"\{([a-z0-9_.]+)(?:=([^}]+))?\}")
WILDCARD = re.compile(r"\*\*|\*")


@dataclass(frozen=True, slots=True)
class Variable:
    """`{name=jobs/*}`: the request field it fills, and the template of its value."""

    field: str
    template: str

    def __post_init__(self) -> None:
        if "." in self.field:
            raise ValueError(f"path variable {self.field} is nested; name a field of the request")

    @property
    def pattern(self) -> str:
        parts = WILDCARD.split(self.template)
        wildcards = ["[^:]+" if each == "**" else "[^/:]+" for each in self.wildcards]
        return _interleaved([re.escape(part) for part in parts], wildcards)

    @property
    def wildcards(self) -> list[str]:
        return WILDCARD.findall(self.template)

    @property
    def parameters(self) -> list[str]:
        """One public name per wildcard: the singular of its collection, `job` for `jobs/*`."""
        if self.template == "*" or "**" in self.template:
            return [camel(self.field)]
        return [singular(literal) for literal in re.findall(r"([^/]+)/\*", self.template)]

    @property
    def public(self) -> str:
        """`jobs/{job}`, as OpenAPI writes the path."""
        names = [f"{{{name}}}" for name in self.parameters]
        return _interleaved(WILDCARD.split(self.template), names)


@dataclass(frozen=True, slots=True)
class Binding:
    """One way to call a method over HTTP. `body` is "", "*" or the name of a field."""

    method: MethodDescriptor
    verb: str
    template: str
    body: str
    index: int = 0

    @property
    def variables(self) -> list[Variable]:
        return [Variable(field, form or "*") for field, form in VARIABLE.findall(self.template)]

    @property
    def pattern(self) -> str:
        """A regular expression with a group per request field, named after it."""
        literals = [re.escape(part) for part in VARIABLE.split(self.template)[::3]]
        groups = [f"(?P<{each.field}>{each.pattern})" for each in self.variables]
        return _interleaved(literals, groups)

    @property
    def path(self) -> str:
        """`/v1/jobs/{job}:start`, as OpenAPI writes it."""
        literals = VARIABLE.split(self.template)[::3]
        return _interleaved(literals, [each.public for each in self.variables])

    @property
    def query_fields(self) -> list[FieldDescriptor]:
        """Fields that are neither in the path, nor in the body, nor in headers."""
        if self.body == "*":
            return []
        bound = {each.field for each in self.variables} | {self.body, *HEADER_FIELDS}
        return [field for field in self.method.input_type.fields if field.name not in bound]


def bindings(services: Iterable[ServiceDescriptor]) -> Iterator[Binding]:
    """Every REST route of the services, in the order of the protos."""
    for service in services:
        for method in service.methods:
            options = method.GetOptions()
            if options.HasExtension(annotations_pb2.http) and not method_rules(method).internal:
                yield from _bindings_of(method, options.Extensions[annotations_pb2.http])


def _bindings_of(method: MethodDescriptor, rule: http_pb2.HttpRule) -> Iterator[Binding]:
    if method.client_streaming:
        raise ValueError(f"{method.full_name} streams from the client, which REST cannot")
    for index, each in enumerate([rule, *rule.additional_bindings]):
        yield _binding(method, each, index)


def _binding(method: MethodDescriptor, rule: http_pb2.HttpRule, index: int) -> Binding:
    verb = rule.WhichOneof("pattern")
    if verb in (None, "custom") or rule.response_body:
        raise ValueError(f"{method.full_name}: custom verbs and response_body are not supported")
    binding = Binding(method, verb.upper(), getattr(rule, verb), rule.body, index)
    for field in [each.field for each in binding.variables] + [rule.body]:
        if field not in ("", "*") and field not in method.input_type.fields_by_name:
            raise ValueError(f"{method.full_name} binds {field}, which its request does not have")
    return binding


def required_numbers(binding: Binding) -> list[FieldDescriptor]:
    """Of the body. One that is not said is 0 in the message: only the document shows it."""
    return [each for each in body_fields(binding) if is_required(each) and _is_number(each)]


def _is_number(field: FieldDescriptor) -> bool:
    says_nothing = field.is_repeated or field.has_presence
    return not says_nothing and field.cpp_type not in (
        FieldDescriptor.CPPTYPE_STRING,
        FieldDescriptor.CPPTYPE_ENUM,
        FieldDescriptor.CPPTYPE_BOOL,
    )


def body_fields(binding: Binding) -> list[FieldDescriptor]:
    request = binding.method.input_type
    if binding.body != "*":
        return [request.fields_by_name[binding.body]] if binding.body else []
    elsewhere = {each.field for each in binding.variables} | {*HEADER_FIELDS}
    return [field for field in request.fields if field.name not in elsewhere]


def needs_body(binding: Binding) -> bool:
    return any(is_required(field) for field in body_fields(binding))


def _interleaved(outer: list[str], inner: list[str]) -> str:
    return outer[0] + "".join(
        between + part for between, part in zip(inner, outer[1:], strict=True)
    )
