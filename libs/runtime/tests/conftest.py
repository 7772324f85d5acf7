"""A small service of these tests' own, compiled from a contract that has every rule."""

import base64
import importlib
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType

import grpc_tools
import pytest
from google.api import annotations_pb2
from grpc_tools import protoc

from runtime.policy import Policies
from runtime.service import Service
from runtime.settings import StoringSettings
from testkit.tokens import Issuer, JwksServer

HERE = Path(__file__).parent
PROTOS = (HERE.parents[2] / "protos", Path(annotations_pb2.__file__).parents[2])
WELL_KNOWN = Path(grpc_tools.__file__).parent / "_proto"
KEY = base64.b64encode(bytes(range(32))).decode()

POLICIES = """
permit (principal, action in [
  Action::"bayline.probe.v1.ProbeService/Weigh",
  Action::"bayline.probe.v1.ProbeService/Watch"
], resource) when { principal.roles.contains("service_manager") || principal.workload != "" };
permit (principal, action == Action::"bayline.probe.v1.ProbeService/Peek", resource)
when { principal.workload != "" };
"""


class Settings(StoringSettings, env_prefix="PROBE__"):
    pass


@pytest.fixture(scope="session")
def _generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    out = tmp_path_factory.mktemp("probe")
    includes = [f"-I{path}" for path in (HERE, *PROTOS, WELL_KNOWN)]
    code = protoc.main(
        [
            "protoc",
            *includes,
            f"--python_out={out}",
            f"--grpc_python_out={out}",
            str(HERE / "probe.proto"),
        ]
    )
    assert code == 0
    sys.path.append(str(out))
    yield
    sys.path.remove(str(out))


@pytest.fixture(scope="session")
def pb(_generated: None) -> ModuleType:
    return importlib.import_module("probe_pb2")


@pytest.fixture(scope="session")
def pb_grpc(_generated: None) -> ModuleType:
    return importlib.import_module("probe_pb2_grpc")


@pytest.fixture
async def jwks(issuer: Issuer) -> AsyncIterator[JwksServer]:
    async with JwksServer(issuer) as server:
        yield server


def settings_for(issuer: Issuer, jwks_url: str) -> Settings:
    return Settings(
        admin={"port": 0},
        grpc={"port": 0},
        identity=issuer.settings(jwks_url),
        workload={
            "token_url": "http://127.0.0.1:1/token",
            "client_id": "probe",
            "client_secret": "s",
        },
        cursor_key=KEY,
        fingerprint_key=KEY,
        database={"app_dsn": "unused", "projector_dsn": "unused", "relay_dsn": "unused"},
        kafka={"bootstrap": "unused"},
    )


@pytest.fixture
async def service(issuer: Issuer, jwks: JwksServer) -> AsyncIterator[Service]:
    """Entered, not started: a test adds its servicer and starts it."""
    async with Service(settings_for(issuer, jwks.url)) as service:
        service.policies = Policies(POLICIES)
        yield service


@pytest.fixture
async def traced(issuer: Issuer, jwks: JwksServer) -> AsyncIterator[Service]:
    """The same, with a span for each call."""
    async with Service(settings_for(issuer, jwks.url), traces=True) as service:
        service.policies = Policies(POLICIES)
        yield service


@pytest.fixture(scope="session")
def settings(issuer: Issuer) -> Settings:
    return settings_for(issuer, "http://127.0.0.1:1")
