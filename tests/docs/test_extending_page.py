"""The four walks of docs/extending.md, made on a copy of the code, lead where the page says."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aftcast.reference.pages import ROOT, Page

PAGE = Page("docs/extending.md", (ROOT / "docs" / "extending.md").read_text(encoding="utf-8"))
CHANGES = [block for block in PAGE.blocks if block.language == "diff"]


def change(root: Path, text: str) -> None:
    """Make the change of one block: lines with ``-`` give way to those with ``+``."""
    head, *lines = text.splitlines()
    path = root / head.removeprefix("+++ ")
    before = "\n".join(line[1:] for line in lines if line[:1] in ("-", " "))
    after = "\n".join(line[1:] for line in lines if line[:1] in ("+", " ")) + "\n" * (not before)
    old = path.read_text(encoding="utf-8") if before else ""
    assert not before or old.count(before) == 1, f"{path.name} has no single place for:\n{text}"
    path.write_text(old.replace(before, after) if before else after, encoding="utf-8")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("copy")
    for package in ("aftcast", "schemas", "sinks", "streams"):
        shutil.copytree(ROOT / package, root / package)  # compiled kernels with it
    for block in CHANGES:
        change(root, block.text)
    return root


def run(copy: Path, *arguments: str) -> str:
    paths = [copy, *(ROOT / "tests" / room for room in ("sinks", "forward"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


FIGURE = """
from pathlib import Path
from pane_oracle import Joined, pane_rows
from aftcast.configuration import Rule
from schemas.pane_reading import read_panes
from sinks.clickhouse.client import connect
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.writers import Writer
from streams.alerts.rules import judge
from schemas.settings import RuleSettings
from streams.metrics.quality import model_quality

t0_ms = 2_524_608_000_000
rows = pane_rows([Joined(t0_ms + i, "a" if i % 4 else None) for i in range(8)])
(sums,) = read_panes(rows)
figures = model_quality(sums, "binary", mature=False, window_ms=60_000)
assert figures["failure_rate"] == 0.25
Rule(name="r", metric="failure_rate", above=0.1)
assert judge(RuleSettings("r", "failure_rate", above=0.1), figures) == ("beyond", 0.25)
client = connect(f"chdb://{Path.cwd()}/store")
migrate(client, "aftcast")
Writer(client, "aftcast").write_rollups(rows)
(row,) = client.rows("SELECT failure_rate FROM aftcast.model_quality(window_seconds = 60) WHERE segment = ''")
assert row["failure_rate"] == 0.25
"""

SINK = """
from alert_events import alert
from aftcast.configuration import Forward
from aftcast.forward.bodies import BODIES, CONTENT_TYPES, TEXTS, text_of
Forward(name="n", kind="note", url="http://127.0.0.1/")
event = alert()
body = BODIES["note"](event, True, text_of(event, TEXTS["note"]), 0)
assert body == {"text": f"{event.status}: {event.summary}", "id": event.event_id}
assert set(CONTENT_TYPES) == set(BODIES) == set(TEXTS)
"""

ENCODING = """
import gzip, json
import numpy as np
from schemas.records import RawBatch
from streams.decode import Decoder
now_ms = 1_763_700_000_000
event = {"prediction_id": "p1", "model": "fraud", "timestamp": now_ms, "prediction": "yes"}
plain = json.dumps(event).encode()
values = [plain, gzip.compress(plain), b"\\x1f\\x8b broken", gzip.compress(b" " * 2_000_000)]
batch = RawBatch("in", 0, np.arange(4), np.full(4, now_ms), [None] * 4, values)
decoded = Decoder().decode_inference(batch)
assert decoded.columns.column("prediction_id").to_pylist() == ["p1", "p1"]
assert [(d.offset, d.reason.split(":")[0]) for d in decoded.dead_letters] == [
    (2, "malformed_json"), (3, "too_large")]
"""


def test_a_figure_that_was_added_is_in_rows_in_sql_and_in_rules(copy: Path) -> None:
    run(copy, "-c", FIGURE)


def test_a_detector_that_was_added_passes_the_suite_of_all_detectors_and_can_be_configured(
    copy: Path,
) -> None:
    suite = str(ROOT / "tests" / "drift" / "test_detector_contract.py")
    told = run(
        copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(copy), suite, "-k", "Ewma"
    )
    assert "9 passed" in told
    (toml,) = (block for block in PAGE.blocks if block.language == "toml")
    (copy / "aftcast.toml").write_text(toml.text, encoding="utf-8")
    program = "from aftcast.loading import load; from streams.monitor import Monitor; "
    run(copy, "-c", program + "Monitor(load().monitor_settings())")


def test_a_target_that_was_added_has_its_form_and_can_be_configured(copy: Path) -> None:
    run(copy, "-c", SINK)


def test_an_encoding_that_was_added_is_read_and_what_is_broken_is_set_aside(copy: Path) -> None:
    run(copy, "-c", ENCODING)


def test_a_change_whose_place_is_gone_is_no_change() -> None:
    with pytest.raises(AssertionError, match="no single place"):
        change(ROOT, "+++ README.md\n-this line is nowhere in it\n+x\n")
