"""`make sbom`: what all of it is made of, out of the same files that it is installed by."""

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

from devstack import maven
from devstack.maven import Jar
from devstack.places import BUILD, CHECKOUT

SBOM = BUILD / "sbom.cdx.json"
PIN = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)")
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
WITH_PYTHON = ("pip",)  # what a new virtual environment has before anything is installed

Component: TypeAlias = dict[str, Any]


def document(root: Path = CHECKOUT) -> dict[str, Any]:
    """CycloneDX 1.6: the same for the same files. Hashes of a package are those of its wheels."""
    components = [*_members(root), *_packages(root), *map(_jar, maven.listed())]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "bayline", "bom-ref": "bayline"}},
        "components": sorted(components, key=lambda each: str(each["purl"])),
    }


def _members(root: Path) -> Iterator[Component]:
    for file in sorted(root.glob("*/*/pyproject.toml")):
        project = tomllib.loads(file.read_text())["project"]
        yield _package(project["name"], project["version"])


def _packages(root: Path) -> Iterator[Component]:
    for block in re.split(r"\n(?=\S)", (root / "requirements.lock").read_text()):
        if found := PIN.match(block):
            yield _package(found[1], found[2], *HASH.findall(block))
    for name in WITH_PYTHON:
        yield _package(name, version(name))


def _package(name: str, version: str, *sums: str) -> Component:
    return _component(name, version, f"pkg:pypi/{name.lower().replace('_', '-')}@{version}", *sums)


def _jar(jar: Jar) -> Component:
    purl = f"pkg:maven/{jar.group}/{jar.artifact}@{jar.version}"
    return {"group": jar.group} | _component(jar.artifact, jar.version, purl, jar.sha256)


def _component(name: str, version: str, purl: str, *sums: str) -> Component:
    made: Component = {"type": "library", "bom-ref": purl, "name": name, "version": version}
    made |= {"purl": purl}
    if sums:
        made["hashes"] = [{"alg": "SHA-256", "content": digest} for digest in sums]
    return made


if __name__ == "__main__":
    SBOM.write_text(json.dumps(document(), indent=2))
    sys.stdout.write(f"{len(document()['components'])} components: {SBOM}\n")
