"""The parts of the keyring service, and how they are put together."""

from assembly.service import EventSourced
from bayline.keyring.v1.keyring_service_pb2_grpc import add_KeyringServiceServicer_to_server
from keyring.adapters import codec
from keyring.adapters.grpc import KeyringServicer
from keyring.application.commands import SubjectCommands
from keyring.settings import Settings
from runtime.service import Service


async def main(settings: Settings, service: Service) -> None:
    parts = await EventSourced.of(settings, service)
    commands = SubjectCommands(parts.store(codec.TABLE), parts.keys)
    service.grpc(add_KeyringServiceServicer_to_server, KeyringServicer(commands, service.policies))
    parts.serve_logs()
