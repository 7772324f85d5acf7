"""`python -m keyring`."""

from keyring.main import main
from keyring.settings import Settings
from runtime.service import run

run(main, Settings)
