"""Words about or by a person: they travel sealed, and can be forgotten."""

from dataclasses import dataclass

ERASED = "[erased]"


@dataclass(frozen=True, slots=True)
class Sealed:
    """Ciphertext and what binds it to its place: the version and the field it was sealed for."""

    version: int
    field: str
    key_id: str
    nonce: bytes
    ciphertext: bytes


@dataclass(frozen=True, slots=True)
class Personal:
    """A text whose key belongs to `subject` (`technicians/<id>`, `jobs/<id>`).

    Plain (`text` is set) when just said; sealed when read back, until a query opens it.
    The fold treats it as present either way, even when its subject was forgotten.
    """

    subject: str
    text: str | None = None
    sealed: Sealed | None = None
