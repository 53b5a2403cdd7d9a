"""The published laws of the project, and a user's own beside them."""

from functools import cache
from pathlib import Path

from analysis.errors import nearest_name
from analysis.published import law_file
from analysis.published.entry import Entry

_FOLDER = Path(__file__).with_name("entries")


def names() -> tuple[str, ...]:
    """Names of the entries, in alphabetical order."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def of_paper(paper: str) -> tuple[str, ...]:
    """Names of the entries of a paper that has several, such as hoffmann2022; else none."""
    return tuple(name for name in names() if name.startswith(f"{paper}-"))


@cache
def find(name: str) -> Entry:
    """Returns an entry by its name, or a user's own by the path of its TOML file.

    Raises:
        ValueError: An unknown name, with the nearest; a file that holds no law.
    """
    if name.endswith(".toml"):
        return law_file.read(Path(name))
    if name not in names() and (several := of_paper(name)):
        raise ValueError(f"{name} gives several laws: choose one of {', '.join(several)}")
    if name not in names():
        papers = {each.split("-")[0] for each in names()}
        raise ValueError(
            f"there is no published law {name!r}: "
            f"{nearest_name(name, sorted(papers.union(names())))}; "
            "`scaling laws` lists them, and your own law is a path that ends in .toml"
        )
    return law_file.read(_FOLDER / f"{name}.toml")
