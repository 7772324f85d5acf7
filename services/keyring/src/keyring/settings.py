"""What the keyring service needs of its environment."""

from pydantic_settings import SettingsConfigDict

from runtime.settings import EventSourcedSettings


class Settings(EventSourcedSettings):
    model_config = SettingsConfigDict(env_prefix="KEYRING__")
