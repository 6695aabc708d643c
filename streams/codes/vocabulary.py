"""All names that one partition has met, each kind under codes of its own."""

from dataclasses import dataclass, field

from streams.codes.names import Names
from streams.codes.segments import Segments


@dataclass(slots=True)
class Vocabulary:
    """All names that one partition has met; panes are ``width_ms`` wide."""

    width_ms: int = 60_000
    models: Names = field(default_factory=Names)
    streams: dict[tuple[str, str], int] = field(default_factory=dict)
    stream_names: list[tuple[str, str]] = field(default_factory=list)
    stream_model: list[int] = field(default_factory=list)
    classes: Names = field(default_factory=lambda: Names(["false", "true"]))
    segments: Segments = field(init=False)
    statuses: Names = field(default_factory=Names)
    sources: Names = field(default_factory=lambda: Names([""]))

    def __post_init__(self) -> None:
        self.segments = Segments(self.width_ms)

    def stream(self, model: str, version: str) -> int:
        code = self.streams.get((model, version))
        if code is None:
            code = self.streams[(model, version)] = len(self.stream_names)
            self.stream_names.append((model, version))
            self.stream_model.append(self.models.code(model))
        return code

    def class_text(self, key: int) -> str:
        """Return the canonical string of a class key."""
        return str(key >> 1) if key % 2 == 0 else self.classes.text(key >> 1)
