"""Why a process ended: what its parent was told, and the last error that it wrote."""

import re
from pathlib import Path

from devstack.failure import LONG_LINE
from devstack.processes import Running

MOST_READ = 200 * LONG_LINE  # bytes: the end of a log
LONGEST_SHOWN = 300
ORDERLY = re.compile(r"\bservice_stopped\b|database system is shut down")
ERROR = re.compile(
    r"\[(?:error|critical)\s*\]"  # ours, in columns
    r'|"level":"(?:error|critical)"'  # ours, as JSON
    r"|\b(?:ERROR|FATAL|PANIC)\b"  # Kafka, PostgreSQL
    r"|^[\w.]+(?:Error|Exception)\b"  # the end of a traceback
)
LESS = re.compile(  # ours, and no error, whoever's it quotes
    r"\[(?:debug|info|warning)\s*\]"
    r'|"level":"(?:debug|info|warning)"'
)


def ending(running: Running, log: Path) -> str:
    """In one line. An exit code is known of a child of whoever looked; the log speaks for others."""
    said = _written(running, log)
    errors = [line for line in said if ERROR.search(line) and not LESS.search(line)]
    if errors:
        wrote = f"its last error: {errors[-1].strip()}"
    elif said and any(map(ORDERLY.search, said[-3:])):
        wrote = "it was asked to end"
    else:
        wrote = _nothing(running, said)
    return "; ".join(part for part in (running.end, wrote) if part)[:LONGEST_SHOWN]


def _nothing(running: Running, said: list[str]) -> str:
    if not running.end:
        return "it wrote no error: killed from outside (kill -9, out of memory)?"
    return f"its last line: {said[-1].strip()}" if said else "it wrote nothing"


def _written(running: Running, log: Path) -> list[str]:
    """By this process, not by one before it; a log that has shrunk was begun anew since."""
    if not log.exists():
        return []
    size = log.stat().st_size
    begun = running.said_before if running.said_before <= size else 0
    with log.open("rb") as stream:
        stream.seek(max(begun, size - MOST_READ))
        return stream.read().decode(errors="replace").splitlines()
