"""Example bodies, paths and curl commands of one binding."""

import re
import shlex

import orjson
from google.protobuf.descriptor import FieldDescriptor

from transcoding.contract import Binding, Variable, body_fields
from transcoding.descriptors import Json, is_required, method_rules
from transcoding.examples import AN_ID, Examples
from transcoding.query import parameters


class Samples:
    """What a stranger can paste; ids aside, it works as it stands."""

    def __init__(self, examples: Examples) -> None:
        self._examples = examples

    def body(self, binding: Binding, *, complete: bool) -> Json:
        fields = body_fields(binding)
        if binding.body == "*":
            return self._examples.sent(fields, complete=complete)
        nested = fields[0].message_type
        if nested is None:
            return self._examples.value(fields[0])
        return self._examples.sent(nested.fields, complete=complete)

    def ids(self, variable: Variable, field: FieldDescriptor) -> dict[str, str]:
        """An example for each path parameter of the variable."""
        example = str(self._examples.value(field))
        if variable.template == "*":
            return {variable.parameters[0]: example}
        found = re.fullmatch(variable.pattern.replace("[^/:]+", "([^/:]+)"), example)
        ids = found.groups() if found else (AN_ID,) * len(variable.parameters)
        return dict(zip(variable.parameters, ids, strict=True))

    def path(self, binding: Binding) -> str:
        fields = binding.method.input_type.fields_by_name
        path = binding.path
        for variable in binding.variables:
            for name, example in self.ids(variable, fields[variable.field]).items():
                path = path.replace(f"{{{name}}}", example)
        needed = [each for each in parameters(binding.query_fields) if is_required(each.field)]
        query = "&".join(f"{each.name}={self._examples.value(each.field)}" for each in needed)
        return f"{path}?{query}" if query else path

    def curl(self, binding: Binding) -> str:
        words = [f'"$BAYLINE{self.path(binding)}"', '-H "Authorization: Bearer $TOKEN"']
        if binding.verb != "GET":
            words.insert(0, f"-X {binding.verb}")
        if method_rules(binding.method).command:
            words.append('-H "Idempotency-Key: $(cat /proc/sys/kernel/random/uuid)"')
        if body_fields(binding):
            body = orjson.dumps(self.body(binding, complete=False)).decode()
            words.append("-H 'Content-Type: application/json'")
            words.append(f"-d {shlex.quote(body)}")
        silent = "curl -sN" if binding.method.server_streaming else "curl -s"
        return " \\\n  ".join([silent, *words])
