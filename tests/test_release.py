"""A release: what is built installs into an empty environment, and runs there."""

import email
import importlib.util
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from house import HOUSE, ROOMS

import scaling

SECTIONS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
ADDRESS = "https://example.org/people/scaling"


def build(target: str, tree: Path, folder: Path) -> Path:
    """Builds a wheel or a source distribution without a network; returns its file."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    settings = os.environ | {"SCALING_REPOSITORY": ADDRESS}
    subprocess.run(command, cwd=tree, env=settings, check=True, capture_output=True)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel that is built from the source distribution, as the package index would."""
    folder = tmp_path_factory.mktemp("release")
    with tarfile.open(build("sdist", HOUSE, folder / "sdist")) as sources:
        sources.extractall(folder, filter="data")
    (tree,) = folder.glob("scaling_descent-*")
    assert {"tests", "docs", "benchmarks", "CITATION.cff"} <= {path.name for path in tree.iterdir()}
    return build("wheel", tree, folder / "wheel")


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_rooms(wheel):
    tracked = subprocess.run(
        ["git", "ls-files", *ROOMS], cwd=HOUSE, capture_output=True, text=True, check=True
    )
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert set(tracked.stdout.split()) <= names
    top = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert top == {*ROOMS, "scaling_descent.py"}


@pytest.mark.slow
def test_the_package_index_shows_readme_pictures_and_links(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    assert metadata["Version"] == scaling.__version__
    shown = metadata.get_payload()
    assert f"]({ADDRESS}/raw/v{scaling.__version__}/docs/figures/double_descent.png)" in shown
    assert not re.search(r"\]\((?!https?:|#)", shown)
    assert f"Repository, {ADDRESS}" in metadata.get_all("Project-URL")
    assert "Typing :: Typed" in metadata.get_all("Classifier")


@pytest.mark.slow
def test_the_wheel_installs_into_an_empty_environment_and_runs(wheel, tmp_path):
    """Its dependencies are those of this environment, which has more; `.ci/run` installs them."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    (packages,) = (tmp_path / "env").glob("lib/python*/site-packages")
    known = importlib.util.find_spec("numpy")
    assert known is not None and known.origin is not None
    (packages / "dependencies.pth").write_text(f"{Path(known.origin).parents[1]}\n")
    python = tmp_path / "env" / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "-q"]
    alone = ["--no-deps", "--no-index", "--ignore-installed", "--no-compile"]
    subprocess.run([*install, *alone, wheel], check=True)

    def said(*command: str) -> str:
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        program = [python.parent / command[0], *command[1:]]
        done = subprocess.run(program, cwd=tmp_path, env=clean, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    where = said(
        "python", "-c", "import analysis, scaling; print(scaling.__file__, analysis.__file__)"
    )
    assert where.count(str(packages)) == 2
    assert said("scaling", "--version") == f"scaling {scaling.__version__}\n"
    said("scaling", "run", "power_law_regression", "--budget", "smoke")
    said("scaling", "report", "results", "--to", "report.html")
    said("scaling", "laws", "show", "besiroglu2024")


def test_citation_and_changelog_agree_with_the_version():
    citation = (HOUSE / "CITATION.cff").read_text()
    assert f"\nversion: {scaling.__version__}\n" in citation
    log = (HOUSE / "CHANGELOG.md").read_text()
    releases = re.findall(r"^## \[(.+?)\](?: - \d{4}-\d\d-\d\d)?$", log, re.MULTILINE)
    assert releases[0] == "Unreleased" and len(releases) == log.count("\n## ")
    assert set(re.findall(r"^### (.+)$", log, re.MULTILINE)) <= SECTIONS
