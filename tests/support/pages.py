"""The pages that people read: their files, code blocks and links."""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLACES = ("*.md", "*/README.md", "*/deploy/*.md", "participant/*.md", "specs/*.md", "docs/**/*.md")
PAGES = sorted({path.relative_to(ROOT).as_posix() for place in PLACES for path in ROOT.glob(place)})
_CODE = re.compile(r"^```.*?^```$|^ {4}.*?$|`[^`\n]+`", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(#[^)\s]*)?(?: \"[^\"]*\")?\)")


def blocks(page: str, language: str) -> list[str]:
    """Return the code blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)


def links(page: str) -> Iterator[tuple[str, str]]:
    """Yield the links of a page inside the repository: the file's path from its root, and the anchor."""
    for target, anchor in _LINK.findall(_CODE.sub("", (ROOT / page).read_text())):
        yield posixpath.normpath(posixpath.join(posixpath.dirname(page), target)) if target else page, anchor[1:]
