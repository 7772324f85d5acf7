"""`python -m gateway`."""

from gateway.main import main
from gateway.settings import Settings
from runtime.service import run

run(main, Settings)
