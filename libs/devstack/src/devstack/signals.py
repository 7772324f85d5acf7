"""How a command that runs for long is told to end: by SIGTERM, or by Ctrl-C."""

from signal import SIGINT, SIGTERM, signal
from threading import Event


def told_to_end() -> Event:
    """Set by the first of them; the main thread may wait for it."""
    told = Event()
    for number in (SIGTERM, SIGINT):
        signal(number, lambda *_: told.set())
    return told
