"""`python -m vehicle`."""

from runtime.service import run
from vehicle.main import main
from vehicle.settings import Settings

run(main, Settings)
