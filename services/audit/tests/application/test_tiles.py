import pytest
from hypothesis import given
from hypothesis import strategies as some

from audit.application.tiles import EntryTooLarge, Tile, bundle, tiles, unbundled


def test_files_are_named_as_the_specification_names_them() -> None:
    assert Tile(0, 1234067 * 256, 256).path == "tile/0/x001/x234/067"
    assert Tile(8, 273 * 256, 256).path == "tile/1/273"
    assert Tile(0, 256, 112).path == "tile/0/001.p/112"
    assert Tile(None, 0, 256).path == "tile/entries/000"


def test_a_log_of_70000_records_has_three_levels_of_tiles() -> None:
    """The example of the specification."""
    paths = [tile.path for tile in tiles(70_000)]

    assert [path for path in paths if path.startswith("tile/2")] == ["tile/2/000.p/1"]
    assert "tile/1/000" in paths
    assert "tile/1/001.p/17" in paths
    assert "tile/0/272" in paths
    assert "tile/0/273.p/112" in paths
    assert "tile/entries/273.p/112" in paths
    assert len(paths) == 274 * 2 + 2 + 1


def test_an_empty_log_has_no_tiles() -> None:
    assert list(tiles(0)) == []


@given(some.lists(some.binary(max_size=300), max_size=20))
def test_records_are_read_from_a_bundle_as_they_were_put_there(records: list[bytes]) -> None:
    assert unbundled(bundle(records, 0)) == records


def test_a_record_larger_than_the_format_allows_is_named() -> None:
    with pytest.raises(EntryTooLarge, match="record 8 has 65536 bytes"):
        bundle([b"", bytes(65_536)], 7)
