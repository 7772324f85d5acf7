"""`python -m workshop`."""

from runtime.service import run
from workshop.main import main
from workshop.settings import Settings

run(main, Settings)
