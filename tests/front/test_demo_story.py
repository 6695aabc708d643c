"""The demo as a person runs it, short: real worker, mock Kafka, embedded ClickHouse, no terminal."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

OPTIONS = ("--json", "--duration", "24s", "--speed", "300", "--port", "0", "--rate", "300", "--seed", "5")


@pytest.mark.slow
def test_the_demo_counts_every_prediction_once_and_ends_with_one_json_object(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "aftcast.cli", "demo", *OPTIONS],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    models = {(model["model"], model["model_version"]): model for model in result["models"]}
    assert set(models) == {("fraud", "3.1"), ("fraud", "3.2"), ("price", "12")}
    assert result["first_figure_s"] is not None
    assert result["page"].startswith("http://127.0.0.1:")
    counted = sum(model["predictions"] for model in models.values())
    assert 0 < counted <= result["events_sent"] < 24 * 300 * 1.2
    for model in models.values():
        assert 0 < model["labelled"] <= model["predictions"]
        latest = model["latest"]
        assert latest["is_mature"] in (True, False)
        assert latest["window_start"].endswith(":00Z")
    assert 0.0 <= models["fraud", "3.1"]["latest"]["accuracy"] <= 1.0
    assert 0.0 < models["price", "12"]["latest"]["mape"] < 0.5
    assert "Traceback" not in ran.stderr
