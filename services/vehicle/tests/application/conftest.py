"""The fleet of these tests."""

import pytest

from services.vehicle.tests.application.people import FleetOffice


@pytest.fixture
def office() -> FleetOffice:
    return FleetOffice()
