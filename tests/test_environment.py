"""The three descriptions of what is installed say the same: pyproject.toml, environment.yml and the lock."""

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_conda_takes_pythons_range_and_the_package_from_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["channels"] == ["conda-forge"]
    python, *others = environment["dependencies"]
    assert SpecifierSet(python.removeprefix("python ")) == SpecifierSet(PROJECT["requires-python"])
    assert "ffmpeg" in others
    (editable,) = others[-1]["pip"]
    extras = re.fullmatch(r"-e \.\[(.+)\]", editable)[1].split(",")
    assert set(extras) <= set(PROJECT["optional-dependencies"])


def pins(lock: str) -> dict[str, str]:
    lines = (ROOT / "requirements" / lock).read_text().splitlines()
    found = (re.match(r"([A-Za-z0-9._-]+)(?:\[.*\])?==([^ ;]+)", line) for line in lines)
    return {canonicalize_name(m[1]): m[2] for m in found if m}


def locked() -> dict[str, str]:
    return pins("bench.lock") | pins("install.lock")


def test_the_lock_satisfies_pyproject():
    versions = locked()
    wanted = [*PROJECT["dependencies"], *(r for group in PROJECT["optional-dependencies"].values() for r in group)]
    for requirement in map(Requirement, wanted):
        name = canonicalize_name(requirement.name)
        if name in ("tagkit",):
            continue
        assert versions[name] in requirement.specifier, f"{requirement} is locked at {versions[name]}: run `make lock`"


def test_what_is_measured_against_is_locked_beside_what_is_measured():
    install, bench = (pins(name) for name in ("install.lock", "bench.lock"))
    assert {name: install[name] for name in install.keys() & bench.keys() - {"networkx"}}.items() <= bench.items()
    assert f"torch=={bench['torch']}+cpu" in (ROOT / "Makefile").read_text()


def test_every_locked_package_has_a_hash_and_no_address():
    for path in (ROOT / "requirements").glob("*.lock"):
        text = path.read_text()
        assert "://" not in text
        assert text.count("==") <= text.count("--hash=sha256:")
