import base64
from hashlib import sha256

import pytest

from audit.domain import checkpoint
from audit.domain.checkpoint import (
    Checkpoint,
    NoteWrong,
    opened,
    origin_of,
    read_verifier_key,
    signed,
    verifier_key,
)

ROOT = bytes(range(32))
CHECKPOINT = Checkpoint("audit.example/acme", 1042, ROOT)


class Seal:
    """Signs with a word instead of a curve; tests of the note's form need no more."""

    def __init__(self, name: str = "audit.example", word: bytes = b"sesame") -> None:
        self.name, self.word = name, word
        self.public = word.ljust(32, b"\0")

    def sign(self, message: bytes) -> bytes:
        return sha256(self.word + message).digest()

    def accepts(self, signature: bytes, message: bytes) -> bool:
        return signature == self.sign(message)


SEAL = Seal()
NOTE = signed(CHECKPOINT, SEAL)


def test_a_checkpoint_is_three_lines_that_a_person_can_read() -> None:
    root = base64.b64encode(ROOT).decode()

    assert NOTE.startswith(f"audit.example/acme\n1042\n{root}\n\n— audit.example ")
    assert NOTE.endswith("\n")


def test_a_checkpoint_is_read_as_it_was_signed() -> None:
    assert opened(NOTE, SEAL) == CHECKPOINT


def test_the_signatures_of_witnesses_are_left_aside() -> None:
    witnessed = NOTE + "— witness.example AAAAAAAA\n"

    assert opened(witnessed, SEAL) == CHECKPOINT


@pytest.mark.parametrize(
    "wrong",
    [
        NOTE.replace("1042", "1043"),
        NOTE.replace("acme", "globex"),
        NOTE.replace("audit.example ", "other.example "),
        NOTE.partition("\n\n")[0],
        NOTE.replace("— ", "- "),
        "",
    ],
)
def test_a_note_that_was_changed_is_not_signed(wrong: str) -> None:
    with pytest.raises(NoteWrong, match="not signed"):
        opened(wrong, SEAL)


def test_a_note_signed_by_another_key_of_that_name_is_not_signed() -> None:
    with pytest.raises(NoteWrong, match="with this key"):
        opened(signed(CHECKPOINT, Seal(word=b"other")), SEAL)


def test_a_signature_that_is_no_base64_is_none() -> None:
    with pytest.raises(NoteWrong, match="not base64"):
        opened("a\n1\nAA==\n\n— audit.example ???\n", SEAL)


@pytest.mark.parametrize("text", ["only a line\n", "a\nmany\nAA==\n"])
def test_what_is_signed_and_no_checkpoint_is_named(text: str) -> None:
    identity = checkpoint.key_id(SEAL.name, SEAL.public)
    signature = base64.b64encode(identity + SEAL.sign(text.encode())).decode()

    with pytest.raises(NoteWrong, match="no checkpoint"):
        opened(f"{text}\n— audit.example {signature}\n", SEAL)


def test_a_tenant_named_like_lines_stays_one_line() -> None:
    assert origin_of("audit.example", "a/b\nc") == "audit.example/a%2Fb%0Ac"


def test_a_verifier_key_is_one_line_and_read_again() -> None:
    line = verifier_key(SEAL.name, SEAL.public)

    assert read_verifier_key(f"{line}\n") == (SEAL.name, SEAL.public)


def test_the_verifier_key_is_that_of_the_specification() -> None:
    """The example of golang.org/x/mod/sumdb/note, a known log's key."""
    line = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"

    name, public = read_verifier_key(line)

    assert name == "sum.golang.org"
    assert verifier_key(name, public) == line


@pytest.mark.parametrize(
    "line", ["", "audit.example", "a+00000000+AQ==", "a+00000000+AQID", "a+b+not base64"]
)
def test_a_line_that_is_no_verifier_key_is_named(line: str) -> None:
    with pytest.raises(NoteWrong):
        read_verifier_key(line)
