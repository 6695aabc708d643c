"""The page for operators names every way in which a worker ends."""

import re
from pathlib import Path

from streams.worker import errors
from streams.worker.loop_watch import STALLED

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")


def test_every_reason_for_a_worker_to_end_is_in_the_table_with_its_exit_code() -> None:
    rows = {name: code for code, name in re.findall(r"^\| (\d) \| `(\w+)` \|", PAGE, re.MULTILINE)}
    reasons = {name for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert set(rows) == reasons | {"LoopStalled"}
    assert rows["LoopStalled"] == str(STALLED)
