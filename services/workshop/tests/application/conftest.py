"""The workshop of these tests."""

import pytest

from services.workshop.tests.application.people import Workshop


@pytest.fixture
async def workshop() -> Workshop:
    workshop = Workshop()
    await workshop.open()
    return workshop
