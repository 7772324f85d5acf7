"""Generates the `bayline` package from protos/: messages, stubs, types, descriptors, policies."""

import shutil
import sys
from pathlib import Path
from typing import Any

import grpc_tools
from google.api import annotations_pb2
from grpc_tools import protoc
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

GOOGLE_APIS = Path(annotations_pb2.__file__).parents[2]
WELL_KNOWN = Path(grpc_tools.__file__).parent / "_proto"
SCRIPTS = Path(sys.executable).parent


class GenerateContracts(BuildHookInterface[Any]):
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        generate(Path(self.root, "../../protos").resolve(), Path(self.root, "src"))


def generate(protos: Path, out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    package = out / "bayline"
    package.mkdir(parents=True)
    sources = sorted(str(path) for path in protos.rglob("*.proto"))
    arguments = [
        "protoc",
        f"-I{protos}",
        f"-I{GOOGLE_APIS}",
        f"-I{WELL_KNOWN}",
        f"--python_out={out}",
        f"--grpc_python_out={out}",
        f"--plugin=protoc-gen-mypy={SCRIPTS / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={SCRIPTS / 'protoc-gen-mypy_grpc'}",
        f"--mypy_out=quiet:{out}",
        f"--mypy_grpc_out=quiet:{out}",
        f"--descriptor_set_out={package / 'descriptors.binpb'}",
        "--include_imports",
        "--include_source_info",
        *sources,
    ]
    if protoc.main(arguments) != 0:
        sys.exit("protoc refused the protos; its messages stand above")
    for policy in protos.rglob("*.cedar"):
        shutil.copy(policy, out / policy.relative_to(protos))
    (package / "py.typed").touch()


if __name__ == "__main__":
    generate(Path("protos").resolve(), Path("libs/contracts/src").resolve())
