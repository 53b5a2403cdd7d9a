"""What the metadata of a release takes from the address of its repository.

The package index shows the README away from the files that it names. With `SCALING_REPOSITORY` set
to the address of the repository, as the release check list says, its links and pictures lead there,
to the tag of the version, and the index links back. Without it the README stays as it is.
"""

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"\]\((?!https?:|#)([^)]+)\)")


class RepositoryMetadata(MetadataHookInterface):
    """Adds the README and the links of the project."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Adds `readme` and `urls` to the metadata, in place."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        address = os.environ.get("SCALING_REPOSITORY", "").rstrip("/")
        if address:
            text = absolute(text, address, f"v{metadata['version']}")
            metadata["urls"] = {
                "Repository": address,
                "Issues": f"{address}/issues",
                "Changelog": f"{address}/blob/main/CHANGELOG.md",
            }
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def absolute(text: str, address: str, tag: str) -> str:
    """Markdown whose links to files of the repository lead to its address, at a tag."""

    def led(match: re.Match[str]) -> str:
        form = "raw" if match[1].endswith(".png") else "blob"
        return f"]({address}/{form}/{tag}/{match[1]})"

    return _LINK.sub(led, text)
