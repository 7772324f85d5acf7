from collections.abc import Callable
from io import BytesIO

import pytest

from devstack.sealed_files import CHUNK, TAG, NotAsSealed, SealingKey

KEY, OTHER = SealingKey(b"k" * 32), SealingKey(b"o" * 32)
WHOLE = CHUNK + TAG
THREE = bytes(CHUNK) + b"b" * CHUNK + b"the end"


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])
def test_what_was_sealed_is_opened(size: int) -> None:
    content = b"x" * size

    assert _opened(_sealed(content)) == content


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(lambda file: file[:-1], id="its last byte is missing"),
        pytest.param(lambda file: file[: 2 * WHOLE], id="its last chunk is missing"),
        pytest.param(lambda file: file[:WHOLE], id="but its first chunk, all is missing"),
        pytest.param(lambda file: b"", id="all is missing"),
        pytest.param(lambda file: file[WHOLE:], id="its first chunk is missing"),
        pytest.param(
            lambda file: file[WHOLE : 2 * WHOLE] + file[:WHOLE] + file[2 * WHOLE :],
            id="two chunks changed places",
        ),
        pytest.param(lambda file: file[:WHOLE] + file, id="a chunk is there twice"),
        pytest.param(lambda file: file + b"x", id="something was added"),
        pytest.param(lambda file: bytes([file[0] ^ 1]) + file[1:], id="a bit was changed"),
    ],
)
def test_a_file_that_is_not_whole_and_in_order_is_refused(
    changed: Callable[[bytes], bytes],
) -> None:
    with pytest.raises(NotAsSealed):
        _opened(changed(_sealed(THREE)))


def test_no_other_key_opens_it() -> None:
    with pytest.raises(NotAsSealed):
        _opened(_sealed(b"x"), key=OTHER)


def test_no_file_opens_in_the_place_of_another() -> None:
    with pytest.raises(NotAsSealed):
        _opened(_sealed(b"x"), name="vehicle.dump")


def test_a_mark_is_of_one_content_and_one_key() -> None:
    marks = {KEY.mark(b"a"), KEY.mark(b"b"), OTHER.mark(b"a"), KEY.mark(b"a")}

    assert len(marks) == 3


def test_the_same_passphrase_gives_another_key_for_each_salt() -> None:
    one, two = (SealingKey.derived(b"correct horse battery", salt) for salt in (b"1", b"2"))

    assert one != two
    assert one == SealingKey.derived(b"correct horse battery", b"1")


def _sealed(content: bytes) -> bytes:
    target = BytesIO()
    KEY.seal("workshop.dump", BytesIO(content), target)
    return target.getvalue()


def _opened(file: bytes, *, key: SealingKey = KEY, name: str = "workshop.dump") -> bytes:
    return b"".join(key.opened(name, BytesIO(file)))
