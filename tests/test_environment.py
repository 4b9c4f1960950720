"""What is installed and where it is tested: pyproject.toml, environment.yml, the locks and the workflows agree."""

import re
import tomllib
from pathlib import Path

import pytest
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


LOCKS = sorted((ROOT / "requirements").glob("*.lock"))


def unhashed(lock: str) -> list[str]:
    """The packages of a lock file that have no hash of their own."""
    packages = re.findall(r"^([^\s#].*(?:\n(?:[ \t].*)?)*)", lock, re.M)
    return [p.split()[0] for p in packages if not re.search(r"--hash=sha256:[0-9a-f]{64}\b", p)]


@pytest.mark.parametrize("path", LOCKS, ids=lambda p: p.name)
def test_every_locked_package_has_a_hash_and_no_address(path):
    text = path.read_text()
    assert pins(path.name) and "://" not in text
    assert unhashed(text) == []


def test_one_package_without_a_hash_is_found_among_others():
    hashed = "a==1 \\\n    --hash=sha256:" + "0" * 64 + " \\\n    --hash=sha256:" + "1" * 64 + "\n    # via b\n"
    assert unhashed(f"# written by hand\n{hashed}b==2\n    # via c\n{hashed.replace('a==', 'c==')}") == ["b==2"]
    assert unhashed(hashed.replace("0" * 64, "0" * 63).replace("1" * 64, "")) == ["a==1"]


def workflows() -> dict[str, dict]:
    return {p.name: yaml.safe_load(p.read_text()) for p in sorted((ROOT / ".github/workflows").glob("*.yml"))}


def test_github_tests_every_python_that_the_project_allows():
    versions = workflows()["tests.yml"]["jobs"]["test"]["strategy"]["matrix"]["python"]
    allowed = SpecifierSet(PROJECT["requires-python"])
    assert versions == [v for v in (f"3.{minor}" for minor in range(9, 20)) if v in allowed]


@pytest.mark.parametrize("workflow", workflows().values(), ids=workflows())
def test_github_calls_only_make_and_pinned_actions_with_few_rights(workflow):
    assert workflow["permissions"] == {"contents": "read"}
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.M)
    for job in workflow["jobs"].values():
        assert job.get("permissions", {}).keys() <= {"pages", "id-token"}
        for step in job["steps"]:
            if "run" in step:
                assert step["run"] in [f"make {target}" for target in targets]
            else:
                assert re.fullmatch(r"actions/[a-z-]+@v\d+\.\d+\.\d+", step["uses"])
