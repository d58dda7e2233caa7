"""Finds what is broken in the built documentation: links, anchors, pictures, and anything fetched from elsewhere.

python tools/check_site.py [site]
"""

import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FETCHED = {"img": "src", "script": "src", "link": "href", "source": "src", "iframe": "src", "video": "src"}
"""Tags and the attribute whose address a browser fetches without being asked."""

NOT_FETCHED = {"canonical", "next", "prev", "alternate"}
"""Kinds of <link> that only point."""


@dataclass
class Page(HTMLParser):
    """What one HTML file points at, and what can be pointed at in it."""

    links: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    unnamed: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if found.get(name)}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag == "img" and not found.get("alt"):
            self.unnamed += 1
        address = found.get(FETCHED.get(tag, ""))
        if address and not (tag == "link" and NOT_FETCHED & set(found.get("rel", "").split())):
            self.fetched.append(address)


def read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text())
    return page


def faults(site: Path) -> list[str]:
    """Everything that is broken, a line each."""
    pages = {path: read(path) for path in sorted(site.rglob("*.html"))}
    if not pages:
        return [f"{site}: there is no page"]
    found = []
    for path, page in pages.items():
        where = path.relative_to(site)
        if page.unnamed:
            found.append(f"{where}: {page.unnamed} pictures without words for who cannot see them")
        found += [f"{where}: fetches {address}" for address in page.fetched if _elsewhere(address)]
        for address in dict.fromkeys([*page.links, *page.fetched]):
            wrong = None if _elsewhere(address) else _wrong(site, path, address, pages)
            if wrong:
                found.append(f"{where}: {address}: {wrong}")
    return found


def _elsewhere(address: str) -> bool:
    return bool(urlsplit(address).scheme or address.startswith("//"))


def _wrong(site: Path, path: Path, address: str, pages: dict[Path, Page]) -> str | None:
    """What is wrong with an address inside the site."""
    parts = urlsplit(address)
    start = site if parts.path.startswith("/") else path.parent
    target = (start / unquote(parts.path).lstrip("/")).resolve() if parts.path else path
    if target.is_dir():
        target = target / "index.html"
    if not target.is_file():
        return "there is no such file"
    if target.stat().st_size == 0:
        return "the file is empty"
    anchor = unquote(parts.fragment)
    known = pages.get(target)
    if anchor and known is not None and anchor not in known.anchors and not anchor.startswith("__"):
        return f"there is no {anchor!r} in {target.name}"
    return None


def main(words: list[str]) -> int:
    site = Path(words[0] if words else "site").resolve()
    found = faults(site)
    print("\n".join(found) if found else f"{site}: {len(list(site.rglob('*.html')))} pages, nothing broken")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
