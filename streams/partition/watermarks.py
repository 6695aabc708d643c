"""How far each model's predictions have come in event time."""

import numpy as np

from schemas.coded import CodeArray
from schemas.records import IntArray


class Watermarks:
    """The largest event time seen, by stream and by model."""

    def __init__(self, stream_names: list[tuple[str, str]]) -> None:
        self._stream_names = stream_names
        self._newest_ms: dict[int, int] = {}

    def note(self, stream: CodeArray, time_ms: IntArray) -> None:
        for code in np.unique(stream):
            newest_ms = int(time_ms[stream == code].max())
            self._newest_ms[int(code)] = max(newest_ms, self._newest_ms.get(int(code), newest_ms))

    def by_model(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for stream, time_ms in self._newest_ms.items():
            model = self._stream_names[stream][0]
            found[model] = max(time_ms, found.get(model, time_ms))
        return found
