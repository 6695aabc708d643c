"""The reasons for which the join sets records aside stand on the page on contracts."""

import re
from pathlib import Path

import streams.partition

PAGE = Path(__file__).parents[2] / "docs" / "contracts.md"


def test_every_reason_of_the_join_is_on_the_page() -> None:
    folder = Path(streams.partition.__file__).parent
    source = "".join(path.read_text() for path in sorted(folder.glob("*.py")))
    codes = set(re.findall(r'reason="(\w+):', source))
    assert codes == {"id_reused", "label_not_a_number"}
    assert codes <= set(re.findall(r"`(\w+)`", PAGE.read_text()))
