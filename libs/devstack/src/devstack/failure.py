"""What a person at the keyboard is told when something did not work: what, why, and what to do."""

from pathlib import Path

LINES = 15


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
        return f"the last lines of {self.log}:\n{last_lines(self.log)}"


def last_lines(log: Path, lines: int = LINES) -> str:
    if not log.exists():
        return "  (it wrote nothing)"
    kept = log.read_text(errors="replace").splitlines()[-lines:]
    return "\n".join(f"  {line}" for line in kept) or "  (it wrote nothing)"
