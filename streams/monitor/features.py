"""Features in stage 2: rows of all partitions merged by pane, references frozen, signals read off them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import pyarrow as pa

from schemas.references import FeatureReference, level_per_s
from schemas.settings import DAY_MS, HOUR_MS, MonitorSettings
from schemas.signals import SignalPane
from streams.references import (
    FeatureCounts,
    build_reference,
    feature_signals,
    merge_counts,
    read_features,
)

# A reference is ten windows' worth at least, as all windows share its luck, and a whole day of them, so that
# night is not held against day.
FROZEN_AFTER_MS = DAY_MS
LEAST_HOURS = 10  # with values
LEAST_VALUES = 1_000

FeatureKey = tuple[str, str, str, str, str]  # model, version, segment, signal, feature
Predictions = Callable[[str, str, str, int], int | None]  # of model, version, segment, pane


@dataclass(slots=True)
class _Gathered:
    """What a reference will be made of: all of a feature's values since it was first seen."""

    since_ms: int
    parts: list[FeatureCounts] = field(default_factory=list)
    n: int = 0
    hours: set[int] = field(default_factory=set)
    predictions: int = 0


class Features:
    """Keeps open panes of features, freezes references, and gives each closed pane's signals once.

    Parameters
    ----------
    settings
        The pane's width, segments and the budget of false alarms.
    known
        References from files, or frozen before: what they are of is not frozen again.
    """

    def __init__(self, settings: MonitorSettings, known: Iterable[FeatureReference] = ()) -> None:
        self._settings = settings
        self._given = tuple(known)
        self._adopted: set[tuple[str, str]] = set()
        self.references: dict[FeatureKey, FeatureReference] = {}
        self._open: dict[int, dict[FeatureKey, dict[int, tuple[int, FeatureCounts]]]] = {}
        self._gathered: dict[FeatureKey, _Gathered] = {}
        self._closed_ms: int | None = None

    def absorb(self, rows: pa.RecordBatch) -> None:
        """Take in rows of ``FEATURE_COLUMNS``; of a pane and partition the newest revision counts."""
        if not rows.num_rows:
            return
        starts = rows.column("pane_start").cast(pa.int64()).to_pylist()
        names = [
            rows.column(name).to_pylist()
            for name in ("model", "model_version", "segment", "signal", "feature", "partition", "revision")
        ]
        late = self._closed_ms
        kept = [i for i, start in enumerate(starts) if late is None or start >= late]
        counts = read_features(rows.take(pa.array(kept, pa.int64())))
        for i, own in zip(kept, counts, strict=True):
            model, version, segment, signal, feature, partition, revision = (column[i] for column in names)
            key = model, version, segment, signal, feature
            by_partition = self._open.setdefault(starts[i], {}).setdefault(key, {})
            if partition not in by_partition or by_partition[partition][0] < revision:
                by_partition[partition] = revision, own

    def advance(
        self, closed_ms: int, predictions: Predictions
    ) -> tuple[list[FeatureReference], list[tuple[str, str, SignalPane]]]:
        """Return new references, and the signals, with model and version, of panes that end by ``closed_ms``.

        Parameters
        ----------
        closed_ms
            End of the newest pane whose predictions have all been read; it never goes back.
        predictions
            How many a pane has, those without the feature among them; None where nobody counted.
        """
        self._closed_ms = max(closed_ms, self._closed_ms or closed_ms)
        width_ms = self._settings.pane_width_ms
        signals: list[tuple[str, str, SignalPane]] = []
        changed: set[tuple[str, str]] = set()
        for start_ms in sorted(start for start in self._open if start + width_ms <= closed_ms):
            pane = {
                key: merge_counts([counts for _, counts in rows.values()])
                for key, rows in self._open.pop(start_ms).items()
            }
            changed |= self._adopt(pane, start_ms)
            scopes = {(key[0], key[1], key[2]) for key in pane}
            # A feature that nobody sent in a pane is missing in all of it.
            absent = {key for key in self.references if key[:3] in scopes and key not in pane}
            for key in sorted({*pane, *absent}):
                reference = self.references.get(key)
                if reference is not None:
                    total = predictions(*key[:3], start_ms)
                    own = pane.get(key, FeatureCounts())
                    signals += [
                        (key[0], key[1], signal)
                        for signal in feature_signals(own, total, reference, start_ms, start_ms + width_ms)
                    ]
            changed |= self._gather(pane, scopes, start_ms, predictions)
        found = [self.references[key] for key in sorted(self.references) if key[:2] in changed]
        return found, signals

    def _adopt(self, pane: dict[FeatureKey, FeatureCounts], start_ms: int) -> set[tuple[str, str]]:
        """Put references that were given to use where their version is seen first; '' is any version."""
        changed = set()
        for model, version in {key[:2] for key in pane} - self._adopted:
            self._adopted.add((model, version))
            for given in sorted(self._given, key=lambda reference: reference.model_version):
                if given.model == model and given.model_version in ("", version):
                    self._hold(replace(given, model_version=version, as_of_ms=start_ms))
                    changed.add((model, version))
        return changed

    def _gather(
        self,
        pane: dict[FeatureKey, FeatureCounts],
        scopes: set[tuple[str, str, str]],
        start_ms: int,
        predictions: Predictions,
    ) -> set[tuple[str, str]]:
        changed = set()
        for key in pane:
            if key not in self.references and key not in self._gathered:
                self._gathered[key] = _Gathered(start_ms)
        end_ms = start_ms + self._settings.pane_width_ms
        for key in [key for key in self._gathered if key[:3] in scopes]:
            gathered, own = self._gathered[key], pane.get(key)
            total = predictions(*key[:3], start_ms)
            gathered.predictions += (0 if own is None else own.n) if total is None else total
            if own is not None and own.n:
                gathered.n += own.n
                gathered.hours.add(start_ms // HOUR_MS)
                gathered.parts.append(own)
                if len(gathered.parts) >= 60:  # an hour of panes: merging now keeps memory small
                    gathered.parts = [_compact(merge_counts(gathered.parts))]
            if (
                end_ms - gathered.since_ms >= FROZEN_AFTER_MS
                and len(gathered.hours) >= LEAST_HOURS
                and gathered.n >= LEAST_VALUES
            ):
                self._freeze(key, gathered, end_ms)
                changed.add((key[0], key[1]))
        return changed

    def _freeze(self, key: FeatureKey, gathered: _Gathered, until_ms: int) -> None:
        model, version, segment, signal, feature = key
        del self._gathered[key]
        self._hold(
            build_reference(
                merge_counts(gathered.parts),
                gathered.predictions,
                model=model,
                model_version=version,
                segment=segment,
                signal="prediction" if signal == "prediction" else "feature",
                feature=feature,
                as_of_ms=until_ms,
                since_ms=gathered.since_ms,
                until_ms=until_ms,
            )
        )

    def _hold(self, reference: FeatureReference) -> None:
        """Take a reference, and share the budget out anew over all of its version."""
        self.references[reference.key] = reference
        family = [key for key in self.references if key[:2] == reference.key[:2]]
        level = level_per_s(self._settings.false_alarms_per_month, len(family))
        for key in family:
            held = self.references[key]
            as_of_ms = max(held.as_of_ms, reference.as_of_ms)
            self.references[key] = replace(held, level_per_s=level, as_of_ms=as_of_ms)


def _compact(counts: FeatureCounts) -> FeatureCounts:
    return replace(counts, moments=[(counts.numbers, counts.sum, counts.m2)] if counts.numbers else [])
