"""The staff of these tests."""

import pytest

from services.technician.tests.application.people import Staff


@pytest.fixture
def staff() -> Staff:
    return Staff()
