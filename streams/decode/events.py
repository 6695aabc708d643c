"""The events that become columns: contract, columns, and the schemas by which pyruhvro reads values."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import pyarrow as pa

from schemas.columns import COORDINATES, INFERENCE_COLUMNS, LABEL_COLUMNS
from schemas.contracts import INFERENCE, LABEL, OLDER, Contract, Json

# A frame is read as leading fields, so that no value is copied to cut its frame off; the caller has
# compared the bytes. 0xC3 0x01 is one varint and the fingerprint as long as a double; 0x00 is a varint and
# the schema id as long as a float.
_SINGLE_OBJECT_FRAME: Final = ("long", "double")
_CONFLUENT_FRAME: Final = ("long", "float")


@dataclass(frozen=True)
class ColumnarEvent:
    """An input event that is decoded to columns."""

    contract: Contract
    columns: pa.Schema

    @property
    def name(self) -> str:
        return self.contract.name

    @cached_property
    def bare_schema(self) -> str:
        return self._behind(())

    @cached_property
    def single_object_schema(self) -> str:
        return self._behind(_SINGLE_OBJECT_FRAME)

    @cached_property
    def confluent_schema(self) -> str:
        return self._behind(_CONFLUENT_FRAME)

    @cached_property
    def fields(self) -> pa.Schema:
        return pa.schema(list(self.columns)[:-2])

    @cached_property
    def older(self) -> tuple["ColumnarEvent", ...]:
        """The event as it was shipped before fields were added at its end."""
        before = []
        for contract in OLDER.get(self.name, ()):
            fields = list(self.fields)[: len(contract.fields)]
            before.append(ColumnarEvent(contract, pa.schema([*fields, *COORDINATES])))
        return tuple(before)

    def completed(self, columns: pa.RecordBatch) -> pa.RecordBatch:
        """Return the columns of an older version with nulls for the fields that it lacks."""
        for field in list(self.fields)[columns.num_columns :]:
            columns = columns.append_column(field, pa.nulls(columns.num_rows, field.type))
        return columns

    def _behind(self, frame: Sequence[Json]) -> str:
        leading = [{"name": f"frame_{i}", "type": kind} for i, kind in enumerate(frame)]
        definition = {**self.contract.definition, "fields": leading + self.contract.definition["fields"]}
        return json.dumps(definition)


INFERENCE_EVENT: Final = ColumnarEvent(INFERENCE, INFERENCE_COLUMNS)
LABEL_EVENT: Final = ColumnarEvent(LABEL, LABEL_COLUMNS)
EVENTS: Final = {"inference": INFERENCE_EVENT, "label": LABEL_EVENT}
