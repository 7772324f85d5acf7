"""Folders and files that nobody but their owner reads."""

from pathlib import Path

FOLDER = 0o700
FILE = 0o600
UMASK = 0o077  # of every process that we start


def make_folder(folder: Path) -> None:
    folder.mkdir(mode=FOLDER, parents=True, exist_ok=True)


def write(file: Path, text: str) -> None:
    """Whole or not at all, whoever reads it meanwhile."""
    make_folder(file.parent)
    draft = file.with_suffix(".draft")
    draft.touch(mode=FILE)
    draft.write_text(text)
    draft.replace(file)
