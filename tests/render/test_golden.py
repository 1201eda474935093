"""All that is rendered for two deployments, byte for byte. A change shows in review as what it does to each file.

After a wanted change: pytest tests/render --update-golden
"""

from pathlib import Path

import pytest

from infra.render.entrypoints import script
from tests.render.deployments import SPECS, every

GOLDEN = Path(__file__).parent / "golden"
PROGRAMS = ("redis", "sentinel", "ctl")


def document(name: str) -> str:
    """Every file under its path, the scripts by their name: their text is no rendering."""
    names = {script(program): f"(the script {program})\n" for program in PROGRAMS}
    return "".join(f"=== {path}\n{names.get(text, text)}\n" for path, text in sorted(every(name).items()))


@pytest.mark.parametrize("name", SPECS)
def test_what_is_rendered_is_what_was_reviewed(name: str, update_golden: bool) -> None:  # noqa: FBT001 - a fixture
    golden = GOLDEN / f"{name}.txt"
    if update_golden:
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(document(name))
    assert document(name) == golden.read_text()
