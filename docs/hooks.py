"""Where the site's pages come from.

The navigation in mkdocs.yml names each page by its path in the repository: a page of docs/, a text that lies beside the
code, or a page that `generated` makes from the programs. Pages keep their paths, so a link that works in the
repository works on the site. Nothing is copied: a link titled "include" is replaced by the section that it leads to.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import generated

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?(?: \"([^\"]*)\")?\)")
"""A link inside the repository: exclamation mark of an image, text, path, anchor, title."""
ON_PAGE = re.compile(r"\]\(#")
CODE = re.compile(r"(^```.*?^```$|^ {4}.*?$|`[^`\n]+`)", re.DOTALL | re.MULTILINE)
ITEM = re.compile(r"^(?![-*|#>\d ]|$)(.+)\n(?=[-*] |1\. )", re.MULTILINE)
"""A line of a paragraph with a list right below; Markdown of 2004 wants an empty line between them."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill in what the navigation names by a pattern."""
    config.nav = _expanded(config.nav)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Take the pages that the navigation names, and the files that they lead to."""
    kept = [file for file in files if file.src_uri in config.extra_css or not _is_of_docs(file, config)]
    pages = list(_paths(config.nav))
    linked = sorted({target for page in pages if (ROOT / page).is_file() for target in _linked(page)} - set(pages))
    return Files([*kept, *(_file(config, path) for path in [*pages, *linked])])


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put in the sections that are included, and take off the links that lead to no page."""
    del config
    if page.is_homepage:
        page.meta["hide"] = ["navigation"]
    place = page.file.src_uri
    included = _outside_code(markdown, lambda text: LINK.sub(lambda link: _included(link, place), text))
    known = {file.src_uri for file in files}
    plain = _outside_code(included, lambda text: LINK.sub(lambda link: _kept(link, place, known), text))
    return _outside_code(plain, lambda text: ITEM.sub(r"\1\n\n", text))


def section(path: str, anchor: str) -> str:
    """Return the text below a heading of a page, up to the next heading of its rank; raises LookupError."""
    text = (ROOT / path).read_text(encoding="utf-8")
    headings = list(re.finditer(r"^(#+) (.+)$", CODE.sub(lambda code: "x" * len(code[0]), text), re.MULTILINE))
    for place, heading in enumerate(headings):
        if _slug(heading[2]) == anchor:
            later = (one.start() for one in headings[place + 1 :] if len(one[1]) <= len(heading[1]))
            return text[heading.end() : next(later, len(text))].strip()
    raise LookupError(f"{path} has no heading #{anchor}")


def _expanded(entry: Any) -> Any:
    if isinstance(entry, list):
        return [_expanded(one) for one in entry]
    if isinstance(entry, dict):
        return {title: _expanded(one) for title, one in entry.items()}
    if "*" in entry:
        return sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob(entry))
    return entry


def _paths(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    else:
        for one in entry.values() if isinstance(entry, dict) else entry:
            yield from _paths(one)


def _linked(page: str) -> Iterator[str]:
    """Yield the pictures and data files that a page links to."""
    for link in LINK.finditer(CODE.sub("", (ROOT / page).read_text(encoding="utf-8"))):
        target = _target(page, link[3])
        if (ROOT / target).is_file() and Path(target).suffix not in {".md", ".py"}:
            yield target


def _file(config: MkDocsConfig, path: str) -> File:
    """Return a file of the site under its path in the repository; pages of docs/ are served from the site's root."""
    if (ROOT / path).is_file():
        file = File.generated(config, path, abs_src_path=str(ROOT / path))
    else:
        file = File.generated(config, path, content=generated.PAGES[path]())
    file.dest_uri = file.dest_uri.removeprefix("docs/")
    return file


def _included(link: re.Match[str], place: str) -> str:
    if link[5] != "include":
        return link[0]
    path = _target(place, link[3])
    text = section(path, (link[4] or "").removeprefix("#"))
    here = posixpath.dirname(place)

    def moved(inner: re.Match[str]) -> str:
        target = posixpath.relpath(_target(path, inner[3]), here)
        return f"{inner[1]}[{inner[2]}]({target}{inner[4] or ''})"

    def rebased(prose: str) -> str:
        return ON_PAGE.sub(f"]({posixpath.relpath(path, here)}#", LINK.sub(moved, prose))

    return _outside_code(text, rebased)


def _kept(link: re.Match[str], place: str, known: set[str]) -> str:
    target = _target(place, link[3])
    return link[0] if target in known or not (ROOT / target).exists() else link[2]


def _target(page: str, link: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), link))


def _outside_code(text: str, change: Any) -> str:
    pieces = CODE.split(text)
    return "".join(piece if place % 2 else change(piece) for place, piece in enumerate(pieces))


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def _is_of_docs(file: File, config: MkDocsConfig) -> bool:
    return file.abs_src_path is not None and Path(file.abs_src_path).is_relative_to(config.docs_dir)
