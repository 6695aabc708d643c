"""Features in a replay: profiled, held against the profile, and found when they shift."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from aftcast.cli import app
from schemas.figures import FEATURE_DRIFT_COLUMNS, WINDOW_KEYS


def run(*arguments):
    """Run a command in this process, which has compiled all it needs; what it raises is its error text."""
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.output + str(result.exception or "")


T0_MS = 1_767_225_600_000
WIDE = '[panes]\nwidth = "5m"\n'  # a replay takes its time by the pane
HOUR_MS = 3_600_000


def record(path, seed, hours, per_hour=300, shift_from=None):
    rng = np.random.default_rng(seed)
    with path.open("w") as file:
        for i in range(hours * per_hour):
            hour = i // per_hour
            shift = 1.0 if shift_from is not None and hour >= shift_from else 0.0
            event = {
                "prediction_id": f"p{seed}-{i}",
                "model": "price",
                "model_version": "1",
                "timestamp": T0_MS + hour * HOUR_MS + int(rng.integers(0, HOUR_MS)),
                "prediction": float(rng.normal()),
                "features": {
                    "amount": float(rng.normal(shift, 1)),
                    "kind": str(rng.choice(["x", "y", "z"])),
                    "age": None if rng.random() < 0.2 else int(rng.integers(18, 90)),
                },
                "segments": {"country": str(rng.choice(["DE", "FR"]))},
            }
            file.write(json.dumps(event) + "\n")
    return path


def rows_of(out):
    return [json.loads(line) for line in (out / "feature_drift.ndjson").read_text().splitlines()]


def test_a_recording_held_against_its_own_profile_drifts_nowhere(tmp_path):
    recording = record(tmp_path / "a.ndjson", 1, 6)
    reference = tmp_path / "reference.json"
    made = run("profile", "--inference", str(recording), "--out", str(reference), "--segment", "country=DE")
    assert made[0] == 0, made
    assert "price 1: amount: 1,800 values, 0.0% missing" in made[1]
    config = tmp_path / "aftcast.toml"
    config.write_text(f"{WIDE}[models.price]\nreference = {json.dumps(str(reference))}\n")
    out = tmp_path / "out"
    replayed = run("replay", "--inference", str(recording), "--config", str(config), "--out", str(out))
    assert replayed[0] == 0, replayed
    rows = rows_of(out)
    assert len(rows) == 6 * 3
    assert tuple(rows[0]) == (*WINDOW_KEYS, *FEATURE_DRIFT_COLUMNS)
    assert not any(row["drifted"] for row in rows)
    assert max(row["psi"] for row in rows) < 0.2
    assert {row["reference_version"].split(":")[0] for row in rows} == {"reference"}
    whole = run(
        "replay", "--inference", str(recording), "--config", str(config), "--window", "6h", "--out", str(out)
    )
    assert whole[0] == 0, whole
    for row in rows_of(out):
        assert row["psi"] == pytest.approx(0, abs=1e-12)
        assert row["p_value"] == pytest.approx(1)


def test_without_a_file_the_first_day_is_the_reference_and_a_later_shift_is_found(tmp_path):
    recording = record(tmp_path / "a.ndjson", 2, 30, shift_from=28)
    out, config = tmp_path / "out", tmp_path / "aftcast.toml"
    config.write_text(WIDE)
    replayed = run("replay", "--inference", str(recording), "--config", str(config), "--out", str(out))
    assert replayed[0] == 0, replayed
    drifted = {(row["feature"], row["window_start"][8:13]): row["drifted"] for row in rows_of(out)}
    assert [hour for (feature, hour), found in drifted.items() if found] == ["02T04", "02T05"]
    assert {feature for (feature, _), found in drifted.items() if found} == {"amount"}
    assert drifted["amount", "01T05"] is None  # of the day that the reference was made of


def test_wrong_references_are_named_with_file_and_remedy(tmp_path):
    recording = record(tmp_path / "a.ndjson", 3, 1)
    reference = tmp_path / "reference.json"
    made = run("profile", "--inference", str(recording), "--out", str(reference), "--model", "other")
    assert made[0] == 1
    assert 'no features of model "other" in these files; models with features: price' in made[1]
    config = tmp_path / "aftcast.toml"
    config.write_text(f"[models.fraud]\nreference = {json.dumps(str(reference))}\n")
    arguments = (
        "replay",
        "--inference",
        str(recording),
        "--config",
        str(config),
        "--out",
        str(tmp_path / "o"),
    )
    assert "reference.json: cannot be read (No such file or directory)" in run(*arguments)[1].replace(
        "\n", ""
    )
    assert run("profile", "--inference", str(recording), "--out", str(reference))[0] == 0
    assert 'has no model "fraud"; it has "price"' in run(*arguments)[1]
    document = json.loads(reference.read_text())
    document["models"]["price"][0]["n"] += 1
    reference.write_text(json.dumps(document))
    config.write_text(f"[models.price]\nreference = {json.dumps(str(reference))}\n")
    assert "was changed by hand" in run(*arguments)[1]
    missing = run("profile", "--inference", str(tmp_path / "none.csv"), "--out", str(reference))
    assert "there is no such file" in missing[1]
