"""Names in results are data: no page, whatever they hold, gets another element or script from them."""

import ast
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from plotting.evaluation_page import StudySection, write_evaluation_page
from plotting.pages import rendered
from plotting.report import write_report

PLOTTING = Path(__file__).parents[2] / "plotting"
HOSTILE = """</script><script>alert(1)</script><img src=x onerror='alert(2)'>" onload="alert(3)&<!--"""


class Elements(HTMLParser):
    """The elements of a page and their attributes, as a browser sees them."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.attributes = Counter(), Counter()
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes.update(name for name, _ in attrs)


def renamed(result, name):
    """The same result, with a name in each place where one can be."""
    return replace(
        result,
        datasets={key: replace(record, process=name) for key, record in result.datasets.items()},
        cutflows={f"mc {name}": [replace(row, cut=name) for row in result.cutflows["mc"]]},
        ledger=[replace(entry, file=name, reason=name) for entry in result.ledger],
        notes=[name],
        config={"profile": name, name: name},
        versions={"advtag": name},
    )  # fmt: skip


def test_no_name_in_a_result_changes_the_report(results, tmp_path):
    pages = {}
    for name in ("plain", HOSTILE):
        write_report(
            tmp_path / "report.html",
            results={key: renamed(result, name) for key, result in results.items()},
            divergence=[],
            title=name,
        )
        pages[name] = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "alert(1)" in pages[HOSTILE]
    plain, hostile = (Elements(page) for page in pages.values())
    assert hostile.tags == plain.tags
    assert hostile.attributes == plain.attributes


def test_no_name_changes_the_index_of_an_evaluation(tmp_path):
    found = []
    for name in ("plain", HOSTILE):
        section = StudySection("roc", name, [name], [name])
        path = write_evaluation_page(tmp_path, [section], title=name)
        found.append(Elements(path.read_text(encoding="utf-8")))
    assert found[0].tags == found[1].tags
    assert found[0].attributes == found[1].attributes


def test_a_value_of_a_template_is_escaped():
    page = rendered("page_head.html", title=HOSTILE)
    assert Elements(page).tags == Elements(rendered("page_head.html", title="plain")).tags


@pytest.mark.parametrize("template", sorted(path.name for path in PLOTTING.glob("*.html")))
def test_no_template_lets_a_value_through(template):
    text = (PLOTTING / template).read_text(encoding="utf-8")
    assert not re.search(r"\|\s*safe|autoescape\s+false|\|\s*tojson", text)


@pytest.mark.parametrize("script", sorted(path.name for path in PLOTTING.glob("*.js")))
def test_no_script_makes_elements_of_texts(script):
    text = (PLOTTING / script).read_text(encoding="utf-8")
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text
    )


PACKAGED = {"packaged('report.css')", "embedded_json(payload)", "scripts[0]", "scripts[1]"}
"""All that comes into a page as it is: styles and scripts of the package, and numbers in base64."""


def test_only_what_the_package_holds_comes_into_a_page_as_it_is():
    found = {
        ast.unparse(node.args[0])
        for path in PLOTTING.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Markup"
    }
    hashes = "' '.join((_hash(script) for script in scripts))"
    assert found == PACKAGED | {hashes}
