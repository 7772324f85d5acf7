"""Where things lie: the checkout, what is built in it, and the home of the running stack."""

from pathlib import Path

from pydantic_settings import BaseSettings

CHECKOUT = Path(__file__).resolve().parents[4]
BUILD = CHECKOUT / "build"


class Places(BaseSettings, frozen=True):
    """`BAYLINE_HOME` moves data, logs and secrets out of the checkout."""

    bayline_home: Path = CHECKOUT / ".bayline"


def home() -> Path:
    return Places().bayline_home.resolve()
