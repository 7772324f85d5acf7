"""Ed25519: the key that signs checkpoints, which no database holds, and the one that checks them."""

from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from audit.domain.checkpoint import read_verifier_key, verifier_key


@dataclass(frozen=True, slots=True)
class Ed25519Signer:
    """`seed` is the private key's 32 bytes."""

    name: str
    seed: bytes

    @property
    def public(self) -> bytes:
        return self._key.public_key().public_bytes_raw()

    @property
    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)

    def verifier(self) -> "Ed25519Verifier":
        return Ed25519Verifier(self.name, self.public)


@dataclass(frozen=True, slots=True)
class Ed25519Verifier:
    name: str
    public: bytes

    @classmethod
    def read(cls, line: str) -> "Ed25519Verifier":
        """Of one line, as `line` gives it. Raises `NoteWrong`."""
        return cls(*read_verifier_key(line))

    @property
    def line(self) -> str:
        return verifier_key(self.name, self.public)

    def accepts(self, signature: bytes, message: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            return False
        return True
