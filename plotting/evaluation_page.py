"""The index of an evaluation: one plain page with every study's figures and tables."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from storage.files import write_text

_STYLE = (
    "body{font-family:sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "img{max-width:min(24rem,100%);height:auto;box-sizing:border-box;margin:.3rem 0;border:1px solid #ddd}"
    "h2{margin-top:2.5rem}"
)


class StudySection(NamedTuple):
    """What one study left in the folder: file names of figures and of tables."""

    name: str
    title: str
    figures: Sequence[str]
    tables: Sequence[str]


def write_evaluation_page(folder: Path, sections: Sequence[StudySection], *, title: str) -> Path:
    """Write `index.html` beside the figures and tables it shows; return its path."""
    contents = "".join(f'<li><a href="#{each.name}">{escape(each.title)}</a></li>' for each in sections)
    body = "".join(_section(each) for each in sections)
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1><ol>{contents}</ol>{body}</body></html>\n"
    )
    path = folder / "index.html"
    write_text(path, page)
    return path


def _section(section: StudySection) -> str:
    tables = ", ".join(f'<a href="{escape(name)}">{escape(name)}</a>' for name in section.tables)
    figures = "".join(
        f'<a href="{escape(name)}"><img src="{escape(name)}" alt="{escape(name)}" loading="lazy"></a>'
        for name in section.figures
    )
    nothing = "" if section.figures else "<p>Nothing to draw: see docs/evaluation.md for what it needs.</p>"
    return (
        f'<h2 id="{section.name}">{escape(section.title)}</h2>'
        f"<p>Tables: {tables or 'none'}</p>{nothing}<div>{figures}</div>"
    )
