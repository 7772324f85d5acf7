"""The parts of the keyring service, and how they are put together."""

from assembly.service import EventSourced
from bayline.keyring.v1.key_service_pb2_grpc import add_KeyServiceServicer_to_server
from bayline.keyring.v1.keyring_service_pb2_grpc import add_KeyringServiceServicer_to_server
from eventstore.keyring import PostgresKeyring
from keyring.adapters import codec
from keyring.adapters.grpc import KeyringServicer
from keyring.adapters.keys import KeyServicer
from keyring.application.commands import SubjectCommands
from keyring.settings import Settings
from runtime.service import Service


async def main(settings: Settings, service: Service) -> None:
    pool = await service.pool(settings.database.app_dsn, "keys")
    keys = PostgresKeyring(pool, settings.kek.get_secret_value())
    parts = await EventSourced.of(settings, service, keys)
    commands = SubjectCommands(parts.store(codec.TABLE), keys)
    service.grpc(add_KeyringServiceServicer_to_server, KeyringServicer(commands, service.policies))
    service.grpc(add_KeyServiceServicer_to_server, KeyServicer(keys))
    parts.serve_logs()
