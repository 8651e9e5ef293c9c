"""What axe-core says of the report: it is named by ADVTAG_AXE, since tests fetch nothing."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def axe():
    path = os.environ.get("ADVTAG_AXE")
    if not path:
        if os.environ.get("ADVTAG_BROWSER") == "required":
            pytest.fail("axe-core is required, but ADVTAG_AXE does not name it: .ci/axe fetches it")
        pytest.skip("ADVTAG_AXE does not name axe.min.js: `.ci/axe` fetches it and prints its path")
    return Path(path).read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1300, 390])
def test_axe_finds_nothing_serious(browser, production, axe, scheme, width):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(production.path.as_uri())
    page.wait_for_function("document.getElementById('stack-a').data !== undefined")
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    page.evaluate(axe)
    found = page.evaluate("axe.run()")
    page.close()
    assert found["passes"]
    serious = [
        (each["id"], [node["html"][:120] for node in each["nodes"]])
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]
    assert serious == []
