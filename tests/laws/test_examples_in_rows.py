"""Rows of all traffic name wrong answers, rows of segments name none."""

from stage_oracle import decoded

from schemas.settings import JoinSettings, MonitorSettings
from streams.partition import PartitionStage

NOW_MS = 1_780_000_000_000


def test_wrong_answers_are_named_in_the_row_of_all_traffic_only() -> None:
    stage = PartitionStage(0, 1, 0, JoinSettings(), MonitorSettings())
    predictions = [
        {
            "prediction_id": name, "model": "m", "timestamp": NOW_MS, "prediction": said, "features": {},
            "segments": {"country": "de"}, "status": "ok", "scores": None, "record_time_ms": NOW_MS,
        }
        for name, said in (("right", "a"), ("wrong", "b"), ("never labelled", "b"))
    ]  # fmt: skip
    labels = [
        {"prediction_id": name, "label": "a", "timestamp": NOW_MS, "record_time_ms": NOW_MS}
        for name in ("right", "wrong")
    ]
    stage.apply_inference(decoded("inference", predictions))
    stage.apply_labels(decoded("label", labels))
    rows = stage.take_changed().to_pylist()
    assert {row["segment"]: row["examples"] for row in rows} == {"": ["wrong"], "country=de": []}
