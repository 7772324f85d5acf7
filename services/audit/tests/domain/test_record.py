import pytest
from hypothesis import given
from hypothesis import strategies as some

from audit.domain import record
from audit.domain.record import Place, Record, RecordUnreadable

PLACES = some.builds(
    Place,
    tenant=some.text(min_size=1),
    topic=some.text(),
    epoch=some.binary(min_size=16, max_size=16),
    shard=some.integers(0, 63),
    pos=some.integers(1, 2**63 - 1),
    stream=some.binary(min_size=16, max_size=16),
    event_id=some.binary(min_size=16, max_size=16),
)
RECORDS = some.builds(
    Record,
    PLACES,
    some.lists(some.tuples(some.text(), some.binary())).map(tuple),
    some.binary(),
)


@given(RECORDS)
def test_a_record_is_read_as_it_was_written(written: Record) -> None:
    assert record.read(written.encoded) == written


@given(RECORDS, RECORDS)
def test_two_records_never_have_the_same_bytes(one: Record, other: Record) -> None:
    assert (one.encoded == other.encoded) == (one == other)


@given(RECORDS)
def test_a_record_begins_with_its_place(written: Record) -> None:
    assert written.encoded.startswith(written.place.encoded)


@given(RECORDS, some.data())
def test_a_record_that_was_cut_or_continued_is_none(written: Record, data: some.DataObject) -> None:
    cut = written.encoded[: data.draw(some.integers(0, len(written.encoded) - 1))]

    for wrong in (cut, written.encoded + b"\0"):
        with pytest.raises(RecordUnreadable):
            record.read(wrong)


def test_a_header_that_is_not_there_is_empty() -> None:
    place = Place("acme", "jobs", b"e" * 16, 1, 1, b"s" * 16, b"i" * 16)
    written = Record(place, (("ce_type", b"WorkStarted"),), b"")

    assert written.header("ce_type") == b"WorkStarted"
    assert written.header("ce_site") == b""
