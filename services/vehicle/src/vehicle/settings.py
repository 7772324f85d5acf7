"""What the vehicle service needs of its environment."""

from pydantic_settings import SettingsConfigDict

from runtime.settings import StoringSettings


class Settings(StoringSettings):
    model_config = SettingsConfigDict(env_prefix="VEHICLE__")
