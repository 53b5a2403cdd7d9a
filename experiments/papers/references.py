"""Papers that cards cite, as BibTeX: `references.bib` beside this file, by arXiv identifier."""

import functools
import re
from collections.abc import Iterable
from pathlib import Path

_ARXIV = re.compile(r"\b(\d{4}\.\d{4,5})\b")
_ENTRY = re.compile(r"@\w+\{(?P<key>[^,]+),.*?\n\}\n", re.DOTALL)
_EPRINT = re.compile(r"eprint = \{([^}]+)\}")


def cited(text: str) -> list[str]:
    """Returns the arXiv identifiers in a card, each once, in their order."""
    after = re.split(r"arXiv", text)[1:]
    # An identifier follows the word, perhaps after others and a line break.
    found = [each for part in after for each in _ARXIV.findall(part[:60])]
    return list(dict.fromkeys(found))


def keys_cited(text: str) -> list[str]:
    """Returns the keys of the papers that a card cites."""
    return [key for key, _ in map(_entry, cited(text))]


def bibliography(cards: Iterable[str]) -> str:
    """Returns the entries of every paper that one of the cards cites, by key."""
    entries = dict(map(_entry, {each for card in cards for each in cited(card)}))
    return "\n".join(entries[key] for key in sorted(entries))


def entries_of(text: str) -> dict[str, str]:
    """Returns the entries of a BibTeX file by key."""
    return {found["key"]: found[0] for found in _ENTRY.finditer(text)}


def _entry(identifier: str) -> tuple[str, str]:
    known = _known().get(identifier)
    if known is not None:
        return known
    key = f"arxiv{identifier.replace('.', '-')}"
    return key, (
        f"@misc{{{key},\n  title = {{arXiv:{identifier}}},\n  eprint = {{{identifier}}},\n"
        f"  archiveprefix = {{arXiv}},\n  howpublished = {{arXiv:{identifier}}},\n}}\n"
    )


@functools.cache
def _known() -> dict[str, tuple[str, str]]:
    text = Path(__file__).with_name("references.bib").read_text(encoding="ascii")
    found = {}
    for key, entry in entries_of(text).items():
        eprint = _EPRINT.search(entry)
        assert eprint is not None, f"references.bib: {key} has no eprint"
        found[eprint[1]] = key, entry
    return found
