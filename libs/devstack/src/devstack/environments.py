"""The environment of each process, derived from the table of services and the secrets."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from devstack import accounts, topology
from devstack.accounts import Login
from devstack.databases import LOGINS
from devstack.places import environment
from devstack.ports import HOST
from devstack.postgres import Server, sockets_in
from devstack.secrets import Secrets
from devstack.topology import Service

LOG_NAME = "audit.bayline.local"  # of the key that signs checkpoints


@dataclass(frozen=True, slots=True)
class Environments:
    secrets: Secrets
    offset: int = 0
    cluster: Path | None = None  # PostgreSQL's data folder, if it is on this machine

    @property
    def postgres(self) -> Server:
        port = topology.POSTGRES_PORT + self.offset
        sockets = sockets_in(self.cluster, port) if self.cluster else None
        return Server(port, self.secrets.password("postgres"), sockets=sockets)

    @property
    def kafka(self) -> Login:
        """The broker, as its administrator."""
        return self.kafka_login(accounts.ADMIN)

    def kafka_login(self, user: str) -> Login:
        return Login(self._bootstrap, user, SecretStr(self.kafka_passwords()[user]))

    def kafka_passwords(self) -> Mapping[str, str]:
        users = (accounts.ADMIN, *(service.name for service in topology.SERVICES))
        return {user: self.secrets.password(f"kafka/{user}") for user in users}

    @property
    def issuer(self) -> str:
        return f"http://{HOST}:{topology.ISSUER_PORT + self.offset}"

    @property
    def gateway(self) -> str:
        return f"http://{HOST}:{topology.GATEWAY.port + self.offset}"

    @property
    def _bootstrap(self) -> str:
        return f"{HOST}:{topology.KAFKA_PORT + self.offset}"

    def passwords(self, service: str) -> Mapping[str, str]:
        return {role: self.secrets.password(f"{service}_{role}") for role in LOGINS}

    def of(self, service: Service) -> dict[str, str]:
        """What the service's settings read; the caller's own variables of that name win."""
        settings = self._common(service)
        settings |= self._storing(service) if service.stores else self._gateway(service)
        if service is topology.KEYRING:
            settings |= {"KEK": self.secrets.key("kek")}
        if service is topology.AUDIT:
            settings |= {"SIGNING__NAME": LOG_NAME, "SIGNING__KEY": self.secrets.key("audit")}
        named = {service.prefix + name: value for name, value in settings.items()}
        return named | {"PYTHONUNBUFFERED": "1"} | dict(environment(service.prefix))

    def of_migration(self, database: str) -> dict[str, str]:
        prefix = f"{database.upper()}__DATABASE__"
        return {f"{prefix}MIGRATION_DSN": self.postgres.dsn(database), **environment()}

    def of_issuer(self) -> dict[str, str]:
        return {
            "ISSUER__URL": self.issuer,
            "ISSUER__SIGNING_KEY": self.secrets.signing_key(),
            "ISSUER__CLIENTS": json.dumps(self._clients()),
            "PYTHONUNBUFFERED": "1",
            **environment("ISSUER__"),
        }

    def _clients(self) -> dict[str, str]:
        return {
            service.name: self.secrets.password(f"client/{service.name}")
            for service in topology.SERVICES
        }

    def _common(self, service: Service) -> dict[str, str]:
        peers = {
            f"PEERS__{peer.upper()}": f"{HOST}:{topology.service(peer).port + self.offset}"
            for peer in service.peers
        }
        return peers | {
            "ADMIN__PORT": str(service.admin_port + self.offset),
            "KAFKA__BOOTSTRAP": self._bootstrap,
            "KAFKA__USER": service.name,
            "KAFKA__PASSWORD": self.kafka_passwords()[service.name],
            "IDENTITY__ISSUER": self.issuer,
            "IDENTITY__JWKS_URL": f"{self.issuer}/jwks",
            "IDENTITY__AUDIENCE": topology.AUDIENCE,
            "WORKLOAD__TOKEN_URL": f"{self.issuer}/token",
            "WORKLOAD__CLIENT_ID": service.name,
            "WORKLOAD__CLIENT_SECRET": self._clients()[service.name],
            "CURSOR_KEY": self.secrets.key("cursor"),
            "TELEMETRY__LOGS": "columns",
        }

    def _storing(self, service: Service) -> dict[str, str]:
        server, passwords = self.postgres, self.passwords(service.name)
        dsns = {
            f"DATABASE__{role.upper()}_DSN": server.dsn(
                service.name, user=f"{service.name}_{role}", password=passwords[role]
            )
            for role in LOGINS
        }
        return dsns | {
            "GRPC__PORT": str(service.port + self.offset),
            "FINGERPRINT_KEY": self.secrets.key(f"fingerprint/{service.name}"),
        }

    def _gateway(self, service: Service) -> dict[str, str]:
        return {
            "HTTP__PORT": str(service.port + self.offset),
            "HTTP__PUBLIC_BASE": self.gateway,
            "HTTP__PUBLIC_BROKER": self._bootstrap,
            "HTTP__HOSTS": json.dumps([f"localhost:{service.port + self.offset}"]),
            "HTTP__CORS_ORIGINS": json.dumps(topology.LOCAL_ORIGINS),
            "LOGIN__AUTHORIZE_URL": f"{self.issuer}/authorize",
            "LOGIN__TOKEN_URL": f"{self.issuer}/token",
            "LOGIN__CLIENT_ID": topology.WEB_CLIENT,
        }
