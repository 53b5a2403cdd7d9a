"""The documentation names files that exist, and every file and folder at the top of a room."""

import importlib
import json
import re
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent
MADE = ("gallery", "commands.md")
"""Pages that the build makes: `docs/gallery.py` and `docs/commands.py`."""
PAGES = sorted(
    page
    for page in (HOUSE / "docs").rglob("*.md")
    if not set(page.relative_to(HOUSE / "docs").parts) & {*MADE, "results"}
)
ROOMS = ("scaling", "sweeps", "analysis", "experiments")
ARCHITECTURE = (HOUSE / "docs/architecture.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page.read_text()):
        assert (page.parent / target).exists() or set(Path(target).parts) & set(MADE), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_paths_of_files_exist(page):
    for named in re.findall(r"`((?:scaling|sweeps|analysis|experiments|tests)/[\w/]+\.\w+)`",
                            page.read_text()):  # fmt: skip
        assert (HOUSE / named).exists(), named


def text_of(names: list[str]) -> str:
    """The text of a module, or of the head of a package; empty where there is neither."""
    path = HOUSE.joinpath(*names)
    files = (path.with_suffix(".py"), *path.glob("__init__.py*"))
    return "".join(each.read_text() for each in files if each.exists())


def test_names_in_rooms_exist():
    """Dotted ones, such as `analysis.fitting.fit.fit`: the module, and the name after it."""
    dotted = re.compile(rf"`((?:{'|'.join(ROOMS)})(?:\.\w+)+)`")
    for page in (HOUSE / "docs").rglob("*.md"):
        for found in dotted.findall(page.read_text()):
            names = found.split(".")
            if names[-1] in ("md", "ipynb"):
                continue
            n = next(n for n in range(len(names), 0, -1) if text_of(names[:n]))
            rest = names[n : n + 1]
            assert all(re.search(rf"\b{name}\b", text_of(names[:n])) for name in rest), found


def test_every_fault_names_a_test_that_exists():
    page = (HOUSE / "docs/reliability.md").read_text()
    rows = re.findall(r"^\| (\d+) \|.*\| (.*) \|$", page, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, len(rows) + 1))
    modules = list((HOUSE / "tests").rglob("test_*.py"))
    defined = {name for each in modules for name in re.findall(r"def (test_\w+)", each.read_text())}
    for number, cell in rows:
        names = set(re.findall(r"test_\w+", cell))
        of_modules = {each.stem for each in modules} & names
        assert names > of_modules and names - of_modules <= defined, number


def test_architecture_names_files_that_exist():
    folders = (*ROOMS, "docs", "tests")
    found = {path.name for folder in folders for path in (HOUSE / folder).rglob("*.py")}
    section = ARCHITECTURE[ARCHITECTURE.index("## scaling:") :]
    assert set(re.findall(r"`(?:\w+/)*(\w+\.py)`", section)) <= found


@pytest.mark.parametrize("room", ROOMS)
def test_architecture_has_a_place_for_every_file(room):
    """Cards have one line together."""
    start = ARCHITECTURE.index(f"## {room}:")
    section = ARCHITECTURE[start : ARCHITECTURE.find("\n## ", start + 1)]
    for path in (HOUSE / room).iterdir():
        if (
            path.suffix == ".py"
            and path.stem != "__init__"
            and "\nEXPECTED" not in path.read_text()
        ):
            if "\nPARTS" not in path.read_text():
                assert f"`{path.name}`" in section, path.name
        elif (path / "__init__.py").exists():
            assert f"`{path.name}/`" in section, path.name


@pytest.mark.parametrize("room", ROOMS)
def test_the_reference_has_every_public_name(room):
    page = (HOUSE / "docs" / "reference" / f"{room}.md").read_text()
    directives = re.findall(r"^\.\. [\w:]+:: (\S+)$", page, re.MULTILINE)
    shown = {name.split(".")[1] for name in directives if name.startswith(f"{room}.")}
    assert set(importlib.import_module(room).__all__) <= shown
    assert len(directives) == len(set(directives)), "a name is shown twice"


@pytest.mark.parametrize("path", sorted((HOUSE / "docs" / "notebooks").glob("*.ipynb")))
def test_notebooks_are_kept_without_outputs(path):
    for cell in json.loads(path.read_text())["cells"]:
        assert not cell.get("outputs") and cell.get("execution_count") is None
