"""Whatever is installed is in the bill of materials, jar by jar and package by package."""

import hashlib
import re
from importlib.metadata import distributions

from devstack import maven, sbom

COMPONENTS = sbom.document()["components"]


def _purl(name: str, version: str) -> str:
    return f"pkg:pypi/{re.sub(r'[-_.]+', '-', name).lower()}@{version}"


def test_every_installed_package_is_in_it() -> None:
    installed = {_purl(each.metadata["Name"], each.version) for each in distributions()}

    assert len(installed) > 100
    assert installed - {each["purl"] for each in COMPONENTS} == set()


def test_every_jar_is_in_it_by_its_sum() -> None:
    jars = {
        hashlib.sha256(jar.read_bytes()).hexdigest() for jar in maven.fetch_jars().glob("*.jar")
    }
    known = {each["hashes"][0]["content"] for each in COMPONENTS if "maven" in each["purl"]}

    assert len(jars) > 50
    assert jars == known


def test_nothing_is_in_it_twice_and_what_comes_from_outside_has_its_hashes() -> None:
    names = [each["purl"] for each in COMPONENTS]
    bare = {each["name"] for each in COMPONENTS if "hashes" not in each}

    assert len(names) == len(set(names))
    assert {name for name in bare if not name.startswith("bayline-")} == {"pip"}
