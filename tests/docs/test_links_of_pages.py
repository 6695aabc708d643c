"""Every relative link and anchor of every page leads somewhere, and one that does not is named."""

from pathlib import Path

from aftcast.reference.links import broken
from aftcast.reference.pages import Page, pages


def test_every_relative_link_and_anchor_leads_somewhere() -> None:
    assert [(link.page, link.line, link.target, why) for link, why in broken(pages())] == []


def test_a_missing_file_a_missing_heading_and_a_way_out_of_the_repository_are_named(tmp_path: Path) -> None:
    headings = "# One\n\n## Two `x`: y\n\n## One\n\n"
    text = headings + "[a](no.md) [b](#three) [c](../out.md) [d](p.md#one-1) [e](#two-x-y)\n"
    (tmp_path / "p.md").write_text(text, encoding="utf-8")
    (tmp_path.parent / "out.md").touch()
    found = {link.target: why for link, why in broken([Page("p.md", text)], tmp_path)}
    missing = "no such file in the repository"
    assert found == {"no.md": missing, "../out.md": missing, "#three": "p.md has no heading for #three"}


def test_links_within_code_are_no_links() -> None:
    assert Page("p.md", "```\n[a](no.md)\n```\n\n`[b](no.md)`\n").links == ()
