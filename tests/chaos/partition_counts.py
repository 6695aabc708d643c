"""What one partition must add up to by the records that it holds, in plain Python and in their order."""

import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "laws"))
from stage_oracle import Oracle, is_number, is_regression


class PartitionCounts(Oracle):
    """The laws' oracle with an index by id, so that it counts some hundred thousand records.

    ``dead`` holds the offsets of both sides that no pane may count, with why.
    """

    def __init__(self, width_ms: int) -> None:
        super().__init__(width_ms)
        self._places: dict[tuple[str, str, str], int] = {}
        self._places_by_id: dict[str, list[int]] = defaultdict(list)
        self._labels_by_id: dict[str, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
        self.dead: dict[tuple[str, int], str] = {}
        self.tests = 0

    def take_prediction(self, offset: int, event: dict[str, Any]) -> None:
        if event["role"] == "test":
            self.tests += 1
            return
        key = event["model"], event["model_version"], event["prediction_id"]
        if key in self._places:
            first = self.predictions[self._places[key]][0]
            if first["timestamp"] == event["timestamp"]:
                self.duplicates.append(event)
            else:
                self.dead["inference", offset] = "id_reused"
            return
        self._places[key] = len(self.predictions)
        self._places_by_id[event["prediction_id"]].append(len(self.predictions))
        self.predictions.append((event, []))
        for label_offset, label in self._labels_by_id[event["prediction_id"]]:
            self._join(label_offset, label, len(self.predictions) - 1)

    def take_label(self, offset: int, label: dict[str, Any]) -> None:
        self._labels_by_id[label["prediction_id"]].append((offset, label))
        for place in self._places_by_id[label["prediction_id"]]:
            self._join(offset, label, place)

    def _join(self, offset: int, label: dict[str, Any], place: int) -> None:
        event, labels = self.predictions[place]
        if label["model"] not in ("", event["model"]):
            return
        if is_regression(event) and label["label"] is not None and not is_number(label["label"]):
            self.dead["labels", offset] = "label_no_number"
        else:
            labels.append(label)
