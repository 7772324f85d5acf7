from pathlib import Path

from bayline.keyring.v1 import keyring_service_pb2 as service_pb
from bayline.keyring.v1 import subject_pb2 as pb
from keyring.adapters import codec
from keyring.domain.subject import ForgetSubject, Forgotten, Remembered
from services.keyring.tests.adapters import released
from services.keyring.tests.adapters.released import ADA
from testkit.golden import check_golden

GOLDEN = Path(__file__).parent.parent / "golden"


def test_every_event_ever_released_is_read_for_ever() -> None:
    check_golden(codec.EVENTS, GOLDEN, released.EVENTS)


def test_a_request_to_forget_names_the_subject_and_where_the_request_is_kept() -> None:
    request = service_pb.ErasePersonRequest(name=ADA, reference="DPO-117", request_id="key")

    assert codec.command(request) == ForgetSubject(ADA, "DPO-117")


def test_a_subject_is_shown_as_forgotten_or_not() -> None:
    forgotten = codec.resource(ADA, 1, Forgotten(ADA, "DPO-117"))

    assert forgotten == pb.Subject(name=ADA, etag="1", forgotten=True, reference="DPO-117")
    assert codec.resource(ADA, 0, Remembered()) == pb.Subject(name=ADA, etag="0")
