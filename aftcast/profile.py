"""Reference files: how features of a recording are distributed, as readable JSON with a format version."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import msgspec
import orjson

from aftcast.failure import Failure
from aftcast.replay.files import read_events
from aftcast.replay.ordering import record
from schemas.privacy import NO_RULES, PrivacySettings
from schemas.records import DecodedBatch
from schemas.references import FeatureReference
from schemas.settings import JoinSettings, MonitorSettings
from streams.decode import Decoder
from streams.partition import PartitionStage
from streams.references import (
    FeatureCounts,
    build_reference,
    merge_counts,
    read_features,
    reference_version,
)

FORMAT = 1
NEVER_MS = 10**15
EVENTS_AT_ONCE = 50_000
MERGED_AT = 256  # panes, so that a long recording takes the memory of a short one
_KEYS = ("model_version", "segment", "signal", "feature")
_OURS = ("level_per_s", "as_of_ms", "since_ms", "until_ms", "model")  # decided where it is used


def profile(
    inference: Iterable[Path],
    settings: MonitorSettings,
    progress: Callable[[str, int], None],
    privacy: PrivacySettings = NO_RULES,
) -> tuple[list[FeatureReference], int]:
    """Return a reference of each feature of each model version and segment, and the records refused.

    ``progress`` is told the file and how many of its records have been read; ``privacy`` must be that of
    the worker, since a feature that it treats is held against one treated alike.
    """
    decoder = Decoder(privacy=privacy)
    paths = list(inference)

    def batches() -> Iterable[tuple[str, DecodedBatch]]:
        for path in paths:
            n = 0
            for batch in read_events(path, "inference", decoder):
                n += batch.columns.num_rows + len(batch.dead_letters)
                progress(str(path), n)
                yield str(path), batch

    recording = record("inference", batches())
    stage = PartitionStage(0, 1, -NEVER_MS, JoinSettings(NEVER_MS, 10**18), settings)
    for begin in range(0, len(recording.times_ms), EVENTS_AT_ONCE):
        stage.apply_inference(DecodedBatch(recording.columns.slice(begin, EVENTS_AT_ONCE)))
    refused = len(recording.dead_letters) + len(stage.take_dead_letters())
    return [one for model in stage.models() for one in references_of(stage, model)], refused


def references_of(stage: PartitionStage, model: str) -> Iterator[FeatureReference]:
    predictions: dict[tuple[str, str], int] = {}
    for batch in stage.panes_of(model=model):
        versions, segments = batch.column("model_version"), batch.column("segment")
        counts = batch.column("predictions").to_pylist()
        for key, count in zip(
            zip(versions.to_pylist(), segments.to_pylist(), strict=True), counts, strict=True
        ):
            predictions[key] = predictions.get(key, 0) + count
    parts: dict[tuple[str, ...], list[FeatureCounts]] = {}
    for batch in stage.feature_rows(model=model):
        names = zip(*(batch.column(name).to_pylist() for name in _KEYS), strict=True)
        for name, pane in zip(names, read_features(batch), strict=True):
            own = parts.setdefault(name, [])
            own.append(pane)
            if len(own) >= MERGED_AT:
                parts[name] = [merge_counts(own)]
    for (version, segment, signal, feature), own in sorted(parts.items()):
        yield build_reference(
            merge_counts(own),
            predictions.get((version, segment), 0),
            model=model,
            model_version=version,
            segment=segment,
            signal="prediction" if signal == "prediction" else "feature",
            feature=feature,
            as_of_ms=0,
        )


def write_profile(path: Path, references: Iterable[FeatureReference]) -> None:
    """Write references of one model or several as JSON."""
    by_model: dict[str, list[dict[str, Any]]] = {}
    for reference in references:
        fields = {name: value for name, value in asdict(reference).items() if name not in _OURS}
        by_model.setdefault(reference.model, []).append(fields)
    document = {"format": FORMAT, "models": by_model}
    path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")


def read_profile(path: Path, model: str) -> list[FeatureReference]:
    """Return a model's references out of a file that ``write_profile`` wrote.

    Where the file knows one version only, it holds for each (version '').

    Raises
    ------
    Failure
        If the file is not there, is no such file or of a later format, or does not have the model.
    """
    try:
        document = orjson.loads(path.read_bytes())
        if document["format"] != FORMAT:
            raise Failure(f"{path}: expected format {FORMAT}, got {document['format']}; make it anew")
        if model not in document["models"]:
            known = ", ".join(f'"{name}"' for name in document["models"]) or "none"
            raise Failure(f'{path}: has no model "{model}"; it has {known}')
        blank = {"model": model, "level_per_s": 0.0, "as_of_ms": 0}
        found = [msgspec.convert(blank | fields, FeatureReference) for fields in document["models"][model]]
    except OSError as error:
        raise Failure(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, msgspec.MsgspecError) as error:
        raise Failure(f"{path}: is no file of `aftcast profile` ({error})") from error
    for reference in found:
        if len(reference.counts) != len(reference.edges) + 1 or len(reference.values) != len(
            reference.counts
        ):
            raise Failure(f'{path}: feature "{reference.feature}" must have one more count than edges')
        if reference_version(reference) != reference.reference_version:
            raise Failure(
                f'{path}: feature "{reference.feature}" was changed by hand: its reference_version must be '
                f'"{reference_version(reference)}", got "{reference.reference_version}"'
            )
    if len({reference.model_version for reference in found}) == 1:
        found = [replace(reference, model_version="") for reference in found]
    return [replace(one, reference_version=f"{path.stem}:{one.reference_version}") for one in found]
