"""What the pages of figures say stands in the reports that were measured, and nothing else."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks import capacity_page, generator, load_page
from tests.loadtests.running import ROOT

DOCS = ROOT / "docs"


def measured(name: str) -> dict[str, Any]:
    return json.loads((DOCS / "reports" / f"{name}.json").read_text())  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("page", "made"),
    [
        ("capacity.md", lambda: capacity_page.page(measured("capacity"))),
        ("reports/generator.md", lambda: generator.page(measured("generator"))),
        ("reports/load.md", load_page.page),
    ],
)
def test_a_page_is_made_from_its_report(page: str, made: Callable[[], str]) -> None:
    assert (DOCS / page).read_text() == made()


def test_every_report_of_a_run_is_one_that_the_suite_has_written() -> None:
    files = sorted((DOCS / "reports" / "load").glob("**/report.json"))
    assert files
    for file in files:
        found = json.loads(file.read_text())
        assert found["lost"] == 0, file
        assert {each.name for each in file.parent.iterdir()} == {"junit.xml", "report.html", "report.json"}
