"""What differs between environments for the gateway."""

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from runtime.settings import Block, Kafka, ServiceSettings

MEBIBYTE = 1024 * 1024


class Http(Block):
    """Where the public API listens, and what it is called from outside."""

    port: int = Field(ge=0, le=65535)
    host: str = "127.0.0.1"
    public_base: str  # https://bayline.example: the start of every problem type, and the host
    hosts: tuple[str, ...] = ()  # other names it answers to, with their ports
    public_broker: str = (
        ""  # host:port for readers of topics; /asyncapi.json leaves it open if none
    )
    cors_origins: tuple[str, ...] = ()
    body_limit_bytes: int = MEBIBYTE
    body_seconds: float = Field(default=30.0, gt=0)  # until a body is whole


class Limits(Block):
    """Of each subject of a tenant. With Redis all gateways count requests together, else each alone.

    Streams and exports that are open at a time each gateway counts alone.
    """

    rate: str = "60000/minute"
    streams_per_caller: int = Field(default=50, ge=1)
    streams_per_tenant: int = Field(default=500, ge=1)
    exports_per_caller: int = Field(default=4, ge=1)
    exports_per_tenant: int = Field(default=16, ge=1)
    redis_url: SecretStr = SecretStr("")  # redis://host:port/0


class Login(Block):
    """How a browser signs in from /docs: authorization code with PKCE, no secret."""

    authorize_url: str = ""
    token_url: str = ""
    client_id: str = ""


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="GATEWAY__")

    http: Http
    kafka: Kafka
    login: Login = Login()
    limits: Limits = Limits()
