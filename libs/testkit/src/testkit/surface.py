"""Every method of the contracts, with a request that could be good: for tests of who may call what."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.resources import files
from typing import Any
from urllib.parse import quote, urlencode

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor import ServiceDescriptor as Service
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from devstack import topology
from kernel.ids import Uuid7
from transcoding.contract import HEADER_FIELDS, VARIABLE, Binding
from transcoding.descriptors import Json, camel, field_rules, is_map, is_required, method_rules
from transcoding.examples import Examples
from transcoding.schemas import reachable

EVENT_LOG = "bayline.event.v1.EventLogService"
GIVEN_OUT = ("page_token", "cursor", "etag")
"""Texts that only a server can have given out."""


@cache
def services() -> tuple[Service, ...]:
    """Those of every contract, whoever answers for them."""
    described = files("bayline").joinpath("descriptors.binpb").read_bytes()
    ours = [each for each in FileDescriptorSet.FromString(described).file if each.service]
    for file in ours:
        import_module(file.name.removesuffix(".proto").replace("/", ".") + "_pb2")
    pool = descriptor_pool.Default()
    names = (f"{file.package}.{service.name}" for file in ours for service in file.service)
    return tuple(map(pool.FindServiceByName, sorted(names)))


def methods() -> list[MethodDescriptor]:
    return [method for service in services() for method in service.methods]


def action_of(method: MethodDescriptor) -> str:
    return f"{method.containing_service.full_name}/{method.name}"


def answering(service: Service) -> list[str]:
    """Which processes answer it over gRPC; event logs are answered by each that keeps one."""
    if service.full_name == EVENT_LOG:
        return [each.name for each in topology.EVENT_SOURCED]
    names = [each.name for each in topology.STORING]
    return [name for name in names if service.file.package.split(".")[1] == name]


@dataclass
class Known:
    """Names of things that are there, by collection: what requests are filled with."""

    names: dict[str, str] = field(default_factory=dict)
    ids: Uuid7 = field(default_factory=Uuid7)

    def document(
        self, method: MethodDescriptor, *, complete: bool | None = None
    ) -> dict[str, Json]:
        """A request as protobuf JSON has it; of a command only what it must say, unless `complete`.

        A site is always said: a vehicle that was moved to none would belong to everybody's.

        Raises LookupError where a thing that it must name is not there.
        """
        request = method.input_type
        fields = [each for each in request.fields if each.name not in GIVEN_OUT]
        whole = not method_rules(method).command if complete is None else complete
        found = self._filled(request, _examples().sent(fields, complete=whole))
        if "site" in request.fields_by_name and "sites" in self.names:
            found["site"] = self.names["sites"]
        if "request_id" in request.fields_by_name:
            found["requestId"] = str(self.ids.new())
        return found

    def _filled(self, descriptor: Descriptor, document: Mapping[str, Json]) -> dict[str, Json]:
        by_name = {each.json_name: each for each in descriptor.fields}
        sayable = {name: value for name, value in document.items() if self._can_say(by_name[name])}
        return {name: self._value(by_name[name], value) for name, value in sayable.items()}

    def _can_say(self, field: FieldDescriptor) -> bool:
        collection = field_rules(field).resource
        return not collection or is_required(field) or collection in self.names

    def _value(self, field: FieldDescriptor, value: Json) -> Json:
        if isinstance(value, list):
            return [self._value(field, each) for each in value]
        if collection := field_rules(field).resource:
            return self.names[collection]
        if isinstance(value, dict) and field.message_type is not None and not is_map(field):
            return self._filled(field.message_type, value)
        return value


@cache
def _examples() -> Examples:
    found = reachable(each.input_type for each in methods())
    return Examples(each for each in found.values() if isinstance(each, Descriptor))


@dataclass(frozen=True, slots=True)
class Asked:
    """One HTTP request."""

    verb: str
    target: str
    headers: Mapping[str, str]
    body: Json


def over_rest(binding: Binding, document: Mapping[str, Json]) -> Asked:
    """The request that the gateway turns into this document."""
    rest = {name: value for name, value in document.items() if name not in _taken(binding)}
    path = VARIABLE.sub(lambda found: str(document[camel(found[1])]), binding.template)
    if binding.body:
        body: Json = rest if binding.body == "*" else rest.pop(camel(binding.body))
    else:
        body = None
    query = dict(_query("", {} if binding.body == "*" else rest))
    headers = {"idempotency-key": str(document["requestId"])} if "requestId" in document else {}
    target = quote(path) + (f"?{urlencode(query, doseq=True)}" if query else "")
    return Asked(binding.verb, target, headers, body)


def _taken(binding: Binding) -> set[str]:
    return {camel(each.field) for each in binding.variables} | set(map(camel, HEADER_FIELDS))


def _query(prefix: str, document: Mapping[str, Json]) -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        if isinstance(value, dict):
            yield from _query(f"{prefix}{name}.", value)
        else:
            yield prefix + name, str(value).lower() if isinstance(value, bool) else value


def creators(of: Iterable[MethodDescriptor]) -> list[MethodDescriptor]:
    """Commands that make something: their answer has a name, and their request has none."""
    return [
        method
        for method in of
        if method_rules(method).command
        and "name" in method.output_type.fields_by_name
        and "name" not in method.input_type.fields_by_name
    ]
