"""What the audit service needs of its environment."""

from pathlib import Path

from pydantic_settings import SettingsConfigDict

from runtime.settings import Block, Key, StoringSettings


class Signing(Block):
    """The log's name, and the Ed25519 key that signs its checkpoints: never in a database."""

    name: str
    key: Key


class Settings(StoringSettings):
    model_config = SettingsConfigDict(env_prefix="AUDIT__")

    signing: Signing
    anchor_file: Path  # where nobody who can write to the database can write
