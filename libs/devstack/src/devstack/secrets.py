"""Passwords and keys of the local stack: each made on first need, kept in one file of mode 0600."""

import base64
import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from joserfc.jwk import RSAKey

from devstack import private_files


@dataclass(frozen=True, slots=True)
class Secrets:
    file: Path
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def password(self, name: str) -> str:
        return self._kept(f"password/{name}", lambda: os.urandom(18).hex())

    def key(self, name: str) -> str:
        """32 random bytes in base64."""
        return self._kept(f"key/{name}", lambda: base64.b64encode(os.urandom(32)).decode())

    def signing_key(self) -> str:
        """The issuer's RSA key, in PEM."""
        return self._kept("issuer", lambda: RSAKey.generate_key(2048).as_pem(private=True).decode())

    def keys(self) -> dict[str, str]:
        """What data cannot be read or answered without; passwords can be made anew."""
        return {name: value for name, value in self._known().items() if name.startswith("key/")}

    def adopt(self, keys: dict[str, str]) -> None:
        with self._lock:
            self._write(self._known() | keys)

    def _kept(self, name: str, make: Callable[[], str]) -> str:
        with self._lock:
            known = self._known()
            if name not in known:
                known[name] = make()
                self._write(known)
            return known[name]

    def _known(self) -> dict[str, str]:
        return dict(json.loads(self.file.read_text())) if self.file.exists() else {}

    def _write(self, known: dict[str, str]) -> None:
        private_files.write(self.file, json.dumps(known, indent=2))
