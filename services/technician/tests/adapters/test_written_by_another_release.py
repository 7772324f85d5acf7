"""Technicians that a newer release wrote to, or a disk spoiled."""

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from technician.adapters import codec
from technician.domain.technician import TechnicianMoved
from technician.domain.values import SiteId
from testkit.unread import NEWER
from testkit.unread_contract import Thing, UnreadContract

if TYPE_CHECKING:
    from services.technician.tests.adapters.conftest import Office

pytestmark = pytest.mark.integration


def a_technician(office: "Office") -> Thing:
    numbers = count(1)

    async def make() -> Any:
        return await office.registered(f"T-{next(numbers)}")

    return Thing(
        office,
        codec.EVENTS.log,
        make,
        get="GetTechnician",
        change="RenameTechnician",
        fields={"display_name": "Ada Lovelace"},
        lists=("ListTechnicians", "technicians"),
        bring=office.feed.drain,
        later=codec.EVENTS.encode(TechnicianMoved(SiteId("berlin"))).SerializeToString(),
    )


class TestTechnicians(UnreadContract):
    @pytest.fixture
    def thing(self, office: "Office") -> Thing:
        return a_technician(office)


async def test_the_workload_is_shown(office: "Office") -> None:
    thing = a_technician(office)
    technician = await thing.make()
    await thing.written(technician, NEWER)

    work = (await office.ask("GetWorkload", name=technician.name)).message

    assert work.assigned_jobs == 0
