"""One of each event ever released. An event may get more samples, but none is ever changed."""

from collections.abc import Mapping, Sequence

from vehicle.domain.values import NO_VIN, SiteId, VehicleId, Vin, VinRegion
from vehicle.domain.vehicle import (
    AssetNumberChanged,
    PlateChanged,
    VehicleEvent,
    VehicleMoved,
    VehicleRegistered,
    VehicleSold,
)

SITE = SiteId("0190a5d2-7c1e-7b3a-9f00-000000000002")
FORMER = VehicleId("0190a5d2-7c1e-7b3a-9f00-000000000003")

VEHICLE_EVENTS: Mapping[type[VehicleEvent], Sequence[VehicleEvent]] = {
    VehicleRegistered: [
        VehicleRegistered(
            vin=Vin("1M8GDM9AXKP042788"),
            vin_region=VinRegion.NORTH_AMERICA,
            check_digit_valid=True,
            plate="B-FL 1042",
            asset_number="TRK-1042",
            make="MAN",
            model="TGX 18.470",
            model_year=2022,
            site=SITE,
            formerly=FORMER,
        ),
        VehicleRegistered(
            vin=NO_VIN,
            vin_region=VinRegion.ELSEWHERE,
            check_digit_valid=False,
            plate="",
            asset_number="",
            make="Kögel",
            model="Cargo",
            model_year=0,
            site=None,
            formerly=None,
        ),
    ],
    PlateChanged: [PlateChanged("B-FL 2042")],
    VehicleMoved: [VehicleMoved(SITE)],
    AssetNumberChanged: [AssetNumberChanged("TRK-2042")],
    VehicleSold: [VehicleSold()],
}
