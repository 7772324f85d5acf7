"""What a checkout fetches is compared with a hash in the repository before anything of it is used."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)
FETCHES = re.compile(
    r"\b(pip|uv|mvn|curl|wget|npm|npx)\b.* (install|sync|download|dependency:\S+|https?://\S+)"
)
OWN = "--no-deps --no-build-isolation"
SUMMED = ("--require-hashes", "sync requirements.lock", OWN)


def test_every_script_that_fetches_says_by_which_hashes() -> None:
    lines = [
        f"{script.name}: {line.strip()}"
        for script in sorted((ROOT / "scripts").iterdir())
        for line in script.read_text().splitlines()
        if FETCHES.search(line) and not line.lstrip().startswith(("#", "say", "die"))
    ]

    assert len(lines) >= 3
    assert [line for line in lines if not any(each in line for each in SUMMED)] == []


def test_every_pin_has_a_hash() -> None:
    blocks = re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text())
    pinned = [block for block in blocks if PINNED.match(block)]

    assert len(pinned) > 100
    assert [block for block in pinned if "--hash=sha256:" not in block] == []
