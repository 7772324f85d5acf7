"""What differs between environments: read once at start, frozen, passed down as values."""

import base64
import sys
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretBytes,
    SecretStr,
    ValidationError,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

KEY_BYTES = 32

SettingsT = TypeVar("SettingsT", bound="ServiceSettings")


def _key(text: object) -> object:
    """32 bytes in base64; the error never repeats what was given."""
    if not isinstance(text, str):
        return text
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(f"must be {KEY_BYTES} bytes in base64")
    return key


def _keys(text: object) -> object:
    return tuple(_key(part.strip()) for part in text.split(",")) if isinstance(text, str) else text


Key = Annotated[SecretBytes, BeforeValidator(_key)]
Keys = Annotated[tuple[SecretBytes, ...], NoDecode, BeforeValidator(_keys)]


class Block(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Database(Block):
    """One role for requests, one for projections, one for the relay."""

    app_dsn: SecretStr
    projector_dsn: SecretStr
    relay_dsn: SecretStr


class Kafka(Block):
    """A broker that asks nobody who they are takes no user. With one it is SCRAM-SHA-512."""

    bootstrap: str
    user: str = ""
    password: SecretStr = SecretStr("")


class ClaimNames(Block):
    """Where a claim is found in a token; a dotted path reaches into objects."""

    tenant: str = "tenant"
    roles: str = "roles"
    sites: str = "sites"
    technician: str = "technician"
    workload: str = "workload"


class Identity(Block):
    issuer: str
    jwks_url: str
    audience: str
    claims: ClaimNames = ClaimNames()


class Workload(Block):
    """How this service proves itself to another one: OAuth client credentials."""

    token_url: str
    client_id: str
    client_secret: SecretStr


class Grpc(Block):
    port: int = Field(ge=0, le=65535)
    host: str = "127.0.0.1"


class Admin(Block):
    """Health and metrics, by HTTP, for operators only."""

    port: int = Field(ge=0, le=65535)
    host: str = "127.0.0.1"


class Telemetry(Block):
    sampling_ratio: float = Field(default=0.05, ge=0, le=1)
    logs: Literal["json", "columns"] = "json"
    build: str = "unknown"


class ServiceSettings(BaseSettings):
    """What every process needs. A service subclasses it: `class Settings(..., env_prefix="X__")`."""

    model_config = SettingsConfigDict(
        frozen=True, env_nested_delimiter="__", extra="ignore", hide_input_in_errors=True
    )
    admin: Admin
    identity: Identity
    workload: Workload
    cursor_key: Keys  # the first seals, all open; the same for every service
    peers: Mapping[str, str] = {}  # host:port by service name
    telemetry: Telemetry = Telemetry()
    otlp_endpoint: str = Field(
        default="",
        validation_alias=AliasChoices("OTEL_EXPORTER_OTLP_ENDPOINT", "otlp_endpoint"),
    )

    @classmethod
    def service(cls) -> str:
        return str(cls.model_config.get("env_prefix", "")).rstrip("_").lower()


class StoringSettings(ServiceSettings):
    """What a service with a database of its own needs besides."""

    database: Database
    kafka: Kafka
    grpc: Grpc
    fingerprint_key: Key


def load(settings: type[SettingsT]) -> SettingsT:
    """Reads the environment. Ends the process with the names of what is missing or wrong."""
    try:
        return settings()
    except ValidationError as error:
        prefix = str(settings.model_config.get("env_prefix", ""))
        complaints = [
            f"{prefix}{'__'.join(path)}".upper() + f": {item['msg'][:1].lower()}{item['msg'][1:]}"
            for item in error.errors()
            for path in _variables(settings, [str(part) for part in item["loc"]])
        ]
        sys.exit("\n".join(complaints))


def _variables(settings: type[ServiceSettings], path: list[str]) -> Iterable[list[str]]:
    """A block of which nothing is set stands for each variable it needs."""
    field = settings.model_fields.get(path[0]) if len(path) == 1 else None
    block = field.annotation if field is not None else None
    if not (isinstance(block, type) and issubclass(block, Block)):
        return [path]
    return [[*path, name] for name, part in block.model_fields.items() if part.is_required()]
