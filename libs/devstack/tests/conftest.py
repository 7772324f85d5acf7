import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.stack import Stack


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that PostgreSQL's own user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="bayline-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def stack(place: Path) -> Iterator[Stack]:
    """A stack of which nothing runs yet."""
    stack = Stack.beside(place / "home")
    yield stack
    stack.down(lambda name, text: None)
