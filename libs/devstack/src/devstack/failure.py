"""What a person at the keyboard is told when something did not work: what, why, and what to do."""

from pathlib import Path

LINES = 15
LONG_LINE = 1000  # bytes


class StackFailure(Exception):
    """Ends a command with exit code 1; `hint` says what to do, `log` shows its last lines."""

    def __init__(self, message: str, /, *, hint: str = "", log: Path | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.log = log

    def __str__(self) -> str:
        return "\n".join(part for part in (self.message, self.excerpt(), self.hint) if part)

    def excerpt(self) -> str:
        if self.log is None:
            return ""
        written = [f"  {line}" for line in last_lines(self.log, LINES)]
        return "\n".join((f"the last lines of {self.log}:", *(written or ["  (none)"])))


def last_lines(file: Path, count: int) -> list[str]:
    """Reads the end of the file only: a log may be large."""
    if count == 0 or not file.exists():
        return []
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - count * LONG_LINE))
        return stream.read().decode(errors="replace").splitlines()[-count:]
