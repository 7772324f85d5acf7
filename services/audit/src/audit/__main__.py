"""`python -m audit`."""

from audit.main import main
from audit.settings import Settings
from runtime.service import run

run(main, Settings)
