import base64

import pytest
from pydantic import ValidationError

from runtime.settings import StoringSettings, load

KEY = base64.b64encode(bytes(32)).decode()
OTHER_KEY = base64.b64encode(bytes(range(32))).decode()
ENVIRONMENT = {
    "SHOP__ADMIN__PORT": "8201",
    "SHOP__GRPC__PORT": "8101",
    "SHOP__CURSOR_KEY": f"{KEY},{OTHER_KEY}",
    "SHOP__FINGERPRINT_KEY": KEY,
    "SHOP__DATABASE__APP_DSN": "postgresql://app:hidden@host/shop",
    "SHOP__DATABASE__PROJECTOR_DSN": "postgresql://projector:hidden@host/shop",
    "SHOP__DATABASE__RELAY_DSN": "postgresql://relay:hidden@host/shop",
    "SHOP__KAFKA__BOOTSTRAP": "127.0.0.1:8092",
    "SHOP__IDENTITY__ISSUER": "http://127.0.0.1:8090",
    "SHOP__IDENTITY__JWKS_URL": "http://127.0.0.1:8090/jwks",
    "SHOP__IDENTITY__AUDIENCE": "bayline",
    "SHOP__WORKLOAD__TOKEN_URL": "http://127.0.0.1:8090/token",
    "SHOP__WORKLOAD__CLIENT_ID": "shop",
    "SHOP__WORKLOAD__CLIENT_SECRET": "hidden",
    "SHOP__PEERS__VEHICLE": "127.0.0.1:8102",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318",
}


class Settings(StoringSettings, env_prefix="SHOP__"):
    pass


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_a_service_reads_its_own_variables(environment: pytest.MonkeyPatch) -> None:
    settings = load(Settings)

    assert settings.service() == "shop"
    assert settings.peers == {"vehicle": "127.0.0.1:8102"}
    assert settings.otlp_endpoint == "http://127.0.0.1:4318"
    assert [key.get_secret_value() for key in settings.cursor_key] == [bytes(32), bytes(range(32))]


REQUIRED = sorted(ENVIRONMENT.keys() - {"SHOP__PEERS__VEHICLE", "OTEL_EXPORTER_OTLP_ENDPOINT"})


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_variable_stops_the_process_by_its_name(
    name: str, environment: pytest.MonkeyPatch
) -> None:
    environment.delenv(name)

    with pytest.raises(SystemExit) as raised:
        load(Settings)

    assert str(raised.value) == f"{name}: field required"


def test_every_missing_variable_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit) as raised:
        load(Settings)

    assert sorted(str(raised.value).splitlines()) == [
        f"{name}: field required" for name in REQUIRED
    ]


def test_a_wrong_key_is_named_but_not_shown(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SHOP__FINGERPRINT_KEY", "c2hvcnQtYnV0LXNlY3JldA==")
    environment.setenv("SHOP__GRPC__PORT", "many")

    with pytest.raises(SystemExit) as raised:
        load(Settings)

    lines = str(raised.value).splitlines()
    assert lines[0].startswith("SHOP__GRPC__PORT: ") or lines[1].startswith("SHOP__GRPC__PORT: ")
    assert "SHOP__FINGERPRINT_KEY: value error, must be 32 bytes in base64" in lines
    assert "c2hvcnQ" not in str(raised.value)


def test_secrets_do_not_show(environment: pytest.MonkeyPatch) -> None:
    settings = load(Settings)

    assert "hidden" not in repr(settings)
    assert "hidden" not in settings.model_dump_json()


def test_settings_stay_as_they_were_read(environment: pytest.MonkeyPatch) -> None:
    settings = load(Settings)

    with pytest.raises(ValidationError):
        settings.grpc.port = 1  # type: ignore[misc]  # what the checker knows, the class enforces
