"""What the keyring service needs of its environment."""

from pydantic_settings import SettingsConfigDict

from runtime.settings import Key, StoringSettings


class Settings(StoringSettings):
    """`kek` wraps all keys, and no other process has it."""

    model_config = SettingsConfigDict(env_prefix="KEYRING__")

    kek: Key
