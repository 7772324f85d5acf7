"""`python -m technician`."""

from runtime.service import run
from technician.main import main
from technician.settings import Settings

run(main, Settings)
