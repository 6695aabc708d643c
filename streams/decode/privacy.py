"""Personal data leaves events here, before anything is joined, counted, stored or told.

The hash is keyed BLAKE2b of 128 bits (RFC 7693): equal values stay equal, in every field, partition and run
with the same key, so that they join and group, and nobody without the key can try values out.
"""

from dataclasses import replace
from fnmatch import fnmatchcase
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.columns import BOOLEAN, DOUBLE, LONG, NULL, SCALAR, STRING
from schemas.privacy import ACTIONS, HASH_CHARACTERS, MAPS, TEXTS, PrivacyRule, PrivacySettings
from schemas.records import DeadLetter, IntArray
from streams.decode.reasons import REASONS

EXACT_INTEGERS = 2.0**53  # below it a double that is whole is written as one


def keyed_hash(key: bytes, text: str) -> str:
    """Return what stands for a text where it is hashed, so that one who has the key finds a person's rows.

    Examples
    --------
    >>> keyed_hash(b"0123456789abcdef", "alice")
    '61db6f8249c2e243d63acbaba501a9ae'
    """
    return Privacy(PrivacySettings(key=key)).hashed(text)


class Privacy:
    """Treats decoded columns, lifecycle events and dead letters by the rules of one configuration."""

    def __init__(self, settings: PrivacySettings) -> None:
        self._settings = settings
        self._rules = sorted(settings.rules, key=lambda rule: ACTIONS.index(rule.action))
        self._fields = {rule.field for rule in settings.rules}
        self._found: dict[tuple[str, str], PrivacyRule | None] = {}
        # The key may be longer than BLAKE2b takes, and what is hashed with it is ours alone.
        key = blake2b(settings.key, digest_size=32, person=b"aftcast privacy").digest()
        self._keyed = blake2b(key=key, digest_size=HASH_CHARACTERS // 2)

    @property
    def hides_ids(self) -> bool:
        """Whether prediction ids are no longer what producers sent."""
        return "prediction_id" in self._fields

    @property
    def hides_payload(self) -> bool:
        """Whether no text of a record that could not be used may be shown."""
        return not self._settings.keeps_payload

    def columns(self, columns: pa.RecordBatch) -> pa.RecordBatch:
        """Return a decoded batch without what the rules take away; its schema stays."""
        if not self._fields:
            return columns
        for place, field in enumerate(columns.schema):
            if field.name not in self._fields:
                continue
            column = columns.column(place)
            if field.name in MAPS:
                treated = self._entries(field.name, column)
            elif (rule := self._rule(field.name, "")) is not None:
                treated = self._texts(rule, column, nullable=field.nullable)
            columns = columns.set_column(place, field, treated)
        return columns

    def lifecycle(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return the fields of a lifecycle event likewise."""
        treated = dict(event)
        for name in self._fields & event.keys():
            if name in TEXTS and (rule := self._rule(name, "")) is not None:
                treated[name] = self._text(rule, event[name])
            elif name in MAPS:
                rules = {entry: self._rule(name, entry) for entry in event[name]}
                treated[name] = {
                    entry: value if rule is None else self._text(rule, value)
                    for entry, value in event[name].items()
                    if (rule := rules[entry]) is None or rule.action != "drop"
                }
        return treated

    def letter(self, letter: DeadLetter) -> DeadLetter:
        """Return a dead letter without what came, where that may not be shown; doing it twice is once."""
        if self._settings.keeps_payload:
            return letter
        code = letter.reason.partition(":")[0]
        reason = f"{code}: {REASONS[code]}" if code in REASONS else code
        return replace(letter, reason=reason, value="", key=None)

    def _rule(self, field: str, name: str) -> PrivacyRule | None:
        if (field, name) not in self._found:
            fitting = (rule for rule in self._rules if rule.field == field and fnmatchcase(name, rule.name))
            if len(self._found) > 100_000:  # names are the producers' choice
                self._found.clear()
            self._found[field, name] = next(fitting, None)
        return self._found[field, name]

    def _text(self, rule: PrivacyRule, text: str) -> str:
        if rule.action == "drop":
            return ""
        return self.hashed(text) if rule.action == "hash" else text[: rule.characters]

    def hashed(self, text: str) -> str:
        """Return the hash of a text in hexadecimal digits."""
        if not text:
            return ""  # where there is nothing, nothing is hidden, and it stays visible that it was missing
        keyed = self._keyed.copy()
        keyed.update(text.encode())
        return keyed.hexdigest()

    def _texts(self, rule: PrivacyRule, texts: pa.Array, *, nullable: bool) -> pa.Array:
        if rule.action == "drop":
            nothing = None if nullable else ""
            return pa.array([nothing], pa.string()).take(pa.array(np.zeros(len(texts), np.int64)))
        if rule.action == "truncate":
            return pc.utf8_slice_codeunits(texts, 0, rule.characters)
        distinct = texts.dictionary_encode()
        hashed = pa.array([self.hashed(text) for text in distinct.dictionary.to_pylist()], pa.string())
        return hashed.take(distinct.indices)

    def _entries(self, field: str, entries: pa.MapArray) -> pa.Array:
        names = entries.keys.dictionary_encode()
        rules = [self._rule(field, name) for name in names.dictionary.to_pylist()]
        if not any(rules):
            return entries
        name_of: npt.NDArray[np.int32] = names.indices.to_numpy()
        keys, items = entries.keys, entries.items
        for rule in {rule for rule in rules if rule is not None and rule.action != "drop"}:
            chosen = np.flatnonzero(np.array([one == rule for one in rules])[name_of])
            items = self._items(items, chosen, rule)
        bounds = np.frombuffer(entries.buffers()[1], np.int32, len(entries) + 1)
        stays = np.array([rule is None or rule.action != "drop" for rule in rules])[name_of]
        if not stays.all():
            bounds = np.concatenate([[0], np.cumsum(stays, dtype=np.int32)]).astype(np.int32)[bounds]
            here = pa.array(np.flatnonzero(stays))
            keys, items = keys.take(here), items.take(here)
        return pa.MapArray.from_arrays(pa.array(bounds), keys, items, type=entries.type)

    def _items(self, items: pa.Array, chosen: IntArray, rule: PrivacyRule) -> pa.Array:
        mask = np.zeros(len(items), bool)
        mask[chosen] = True
        if not items.type.equals(SCALAR):
            texts = self._texts(rule, items.take(pa.array(chosen)), nullable=False)
            return pc.replace_with_mask(items, pa.array(mask), texts)
        codes = np.frombuffer(items.buffers()[1], np.int8)[: len(items)].copy()
        texts = self._texts(rule, _as_texts(items, chosen, codes[chosen]), nullable=True)
        # In a sparse union the other children have a place for each value too, and would keep it.
        children = [pc.if_else(pa.array(mask), None, items.field(at)) for at in range(len(SCALAR))]
        children[STRING] = pc.replace_with_mask(items.field(STRING), pa.array(mask), texts)
        codes[mask & (codes != NULL)] = STRING
        return pa.UnionArray.from_sparse(
            pa.array(codes), children, [child.name for child in SCALAR], list(range(len(SCALAR)))
        )


def _as_texts(items: pa.Array, chosen: IntArray, codes: npt.NDArray[np.int8]) -> pa.Array:
    """Return scalars as texts, whole numbers alike whatever their type; null stays null."""
    here = pa.array(chosen)
    texts = pa.nulls(len(chosen), pa.string())
    for kind in np.unique(codes).tolist():
        values = items.field(kind).take(here)
        if kind in (BOOLEAN, LONG, STRING):
            values = values.cast(pa.string())
        elif kind == DOUBLE:
            values = _number_texts(values)
        else:
            continue
        texts = pc.if_else(pa.array(codes == kind), values, texts)
    return texts


def _number_texts(numbers: pa.Array) -> pa.Array:
    values = pc.fill_null(numbers, 0.0).to_numpy(zero_copy_only=False)
    whole = (np.floor(values) == values) & (np.abs(values) < EXACT_INTEGERS)
    integers = pa.array(np.where(whole, values, 0).astype(np.int64)).cast(pa.string())
    return pc.if_else(pa.array(whole), integers, numbers.cast(pa.string()))
