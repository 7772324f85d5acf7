import psycopg
import pytest

from devstack.kafka import complaint
from messaging.kafka import connection
from testkit.servers import KafkaServer, NewDatabase

pytestmark = pytest.mark.integration


def test_a_database_has_the_roles_of_its_service(database: NewDatabase) -> None:
    made = database("depot")

    users = [
        _who_enters(dsn)
        for dsn in (
            made.superuser_dsn,
            made.owner_dsn,
            made.app_dsn,
            made.projector_dsn,
            made.relay_dsn,
        )
    ]

    assert users == ["postgres", "depot_owner", "depot_app", "depot_projector", "depot_relay"]


def test_a_database_is_closed_to_the_roles_of_another_service(database: NewDatabase) -> None:
    ours, theirs = database("depot"), database("garage")

    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(theirs.app_dsn.replace(theirs.name, ours.name))


async def test_kafka_answers(kafka_server: KafkaServer) -> None:
    assert await complaint(connection(kafka_server)) == ""


def _who_enters(dsn: str) -> str:
    with psycopg.connect(dsn) as connection:
        [user] = connection.execute("SELECT current_user").fetchone() or [""]
        return str(user)
