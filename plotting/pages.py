"""From templates beside this file to pages that stand alone: styled, signed, and all their values escaped."""

from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def packaged(name: str) -> str:
    """Return the text of a file beside this one."""
    return files("plotting").joinpath(name).read_text(encoding="utf-8")


def rendered(template: str, **values: Any) -> str:
    """Return a page made of a template; what is no `Markup` is escaped, and a value that is missing an error.

    Args:
        template: The name of its file.
        values: What it shows, beside the style and the footer that all pages have.
    """
    environment = Environment(
        loader=PackageLoader("plotting", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(
        style=Markup(packaged("report.css")),
        footer=f"Made by advtag on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC.",
        **values,
    )
