"""The documentation, as text that tests read; run as a program it writes the table of metrics."""

from __future__ import annotations

import re
from pathlib import Path

from exporter.exposition.catalog import metrics_table

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for page in ROOT.rglob("*.md")
    if not any(part.startswith(".") for part in page.relative_to(ROOT).parts)
)


def page(name: str) -> str:
    """Text of a page, by its path in the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


def section(text: str, name: str) -> str:
    """The part of a page between `<!-- name -->` and `<!-- /name -->`."""
    found = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", text, re.S)
    assert found, f"there is no section {name}"
    return found[1]


def anchors(text: str) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def main() -> None:
    """Write the table of metrics into its page: `python -m tests.support.docs`."""
    path = ROOT / "exporter" / "exposition" / "README.md"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(section(text, "metrics"), metrics_table().strip()), encoding="utf-8")


if __name__ == "__main__":
    main()
