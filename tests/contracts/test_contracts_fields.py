"""The .avsc files, the Arrow columns, the documentation and ClickHouse name the same fields."""

import json
import re
from dataclasses import fields as dataclass_fields
from pathlib import Path

import fastavro
import numpy as np
import pyarrow as pa
import pyruhvro
import pytest

from schemas.columns import INFERENCE_FIELDS, LABEL_FIELDS
from schemas.contracts import (
    ALERT,
    BY_FINGERPRINT,
    CONTRACTS,
    INFERENCE,
    LABEL,
    LIFECYCLE,
    OLDER,
    Contract,
    Json,
)
from schemas.findings import AlertEvent, LifecycleEvent
from streams.decode import REASONS

PAGE = (Path(__file__).parents[2] / "docs" / "contracts.md").read_text("utf-8")


def section(title: str) -> str:
    found = re.search(rf"^## {title}$(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found, f"docs/contracts.md has no section {title}"
    return found.group(1)


def cells(title: str, header: str) -> list[list[str]]:
    lines = section(title).splitlines()
    start = lines.index(header) + 2
    body = lines[start:]
    end = next((i for i, line in enumerate(body) if not line.startswith("|")), len(body))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body[:end]]


def written(declared: Json) -> str:
    match declared:
        case str():
            return declared
        case [one, other]:
            return f"{written(one)} or {written(other)}"
        case list():
            return ", ".join(written(branch) for branch in declared)
        case {"type": "map", "values": str(values)}:
            return f"map of {values}"
        case {"type": "map", "values": values}:
            return f"map of ({written(values)})"
        case {"type": kind, "logicalType": logical}:
            return f"{kind} ({logical})"
    raise AssertionError(declared)


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_documentation_lists_the_fields_of_the_avsc_with_type_default_and_meaning(contract: Contract) -> None:
    assert cells(contract.name, "| field | type | default | meaning |") == [
        [
            f"`{field.name}`",
            written(field.type),
            f"`{json.dumps(field.default)}`" if field.has_default else "required",
            field.doc,
        ]
        for field in contract.fields
    ]


@pytest.mark.parametrize(("contract", "columns"), [(INFERENCE, INFERENCE_FIELDS), (LABEL, LABEL_FIELDS)])
def test_arrow_columns_are_what_the_avsc_decodes_to(contract: Contract, columns: pa.Schema) -> None:
    decoded = pyruhvro.deserialize_array([], json.dumps(contract.definition))
    assert decoded.schema.equals(columns)


@pytest.mark.parametrize(("contract", "event"), [(LIFECYCLE, LifecycleEvent), (ALERT, AlertEvent)])
def test_dataclasses_have_the_fields_of_the_avsc_with_times_in_milliseconds(
    contract: Contract, event: type
) -> None:
    times = {f.name for f in contract.fields if isinstance(f.type, dict) and "logicalType" in f.type}
    expected = {f"{f.name}_ms" if f.name in times else f.name for f in contract.fields}
    assert {f.name for f in dataclass_fields(event)} == expected


@pytest.mark.parametrize(
    ("contract", "table"),
    [(INFERENCE, "predictions"), (LABEL, "labels"), (LIFECYCLE, "lifecycle_events"), (ALERT, "alerts")],
)
def test_every_field_of_an_event_is_a_column_of_its_table(contract: Contract, table: str) -> None:
    from sinks.clickhouse.schema import TABLES

    assert {field.name for field in contract.fields} - set(TABLES[table]) == set()


def test_documentation_lists_exactly_the_codes_of_dead_letters_with_their_sentences() -> None:
    listed = {
        code.strip("`"): sentence for code, sentence in cells("Dead letters", "| code | what it means |")
    }
    assert listed == dict(REASONS)


def test_documentation_lists_the_fingerprints() -> None:
    listed = cells("Encodings", "| schema | fingerprint, as in the value |")
    assert listed == [[name, f"`{contract.fingerprint.hex()}`"] for name, contract in CONTRACTS.items()]
    assert len(BY_FINGERPRINT) == len(CONTRACTS)


def crc_64_avro(data: bytes) -> int:
    """Compute the fingerprint as the Avro specification writes it down."""
    empty = 0xC15D213AA4D7A795
    result = empty
    for byte in data:
        row = (result ^ byte) & 0xFF
        for _ in range(8):
            row = (row >> 1) ^ (empty if row & 1 else 0)
        result = (result >> 8) ^ row
    return result


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_fingerprint_is_the_crc_of_the_canonical_form_little_endian(contract: Contract) -> None:
    canonical = fastavro.schema.to_parsing_canonical_form(contract.parsed)
    assert contract.fingerprint == crc_64_avro(canonical.encode()).to_bytes(8, "little")


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_published_fingerprints_never_change(contract: Contract) -> None:
    # Producers in the field write these eight bytes: a changed schema gets a new file beside the old one.
    assert (
        contract.fingerprint.hex()
        == {
            "InferenceEvent": "802c7b4b16e298d3",
            "LabelEvent": "e1a0283f61d5f096",
            "LifecycleEvent": "43acdaf98d25f7d8",
            "AlertEvent": "25e795cb173e7fb3",
        }[contract.name]
    )


def test_older_schemas_keep_their_fingerprints_and_lack_only_fields_at_the_end() -> None:
    assert [older.fingerprint.hex() for older in OLDER["InferenceEvent"]] == ["5a716e463ec02983"]
    for name, before in OLDER.items():
        for older in before:
            assert older.fields == CONTRACTS[name].fields[: len(older.fields)]
            assert all(field.has_default for field in CONTRACTS[name].fields[len(older.fields) :])
            assert f"`{older.fingerprint.hex()}`" in section("Encodings")


def test_documentation_examples_are_accepted_and_its_code_runs() -> None:
    import doctest

    from schemas.records import RawBatch
    from streams.decode import Decoder

    decoder = Decoder()

    def raw(title: str) -> RawBatch:
        example = re.search(r"```json\n(.*?)```", section(title), re.DOTALL)
        assert example
        value = example.group(1).encode()
        return RawBatch(title, 0, np.zeros(1, np.int64), np.array([1_767_700_000_000]), [None], [value])

    assert decoder.decode_inference(raw("InferenceEvent")).columns.num_rows == 1
    assert decoder.decode_labels(raw("LabelEvent")).columns.num_rows == 1
    assert len(decoder.decode_lifecycle(raw("LifecycleEvent"))[0]) == 1
    code = doctest.DocTestParser().get_doctest(section("Encodings"), {}, "contracts.md", None, 0)
    assert code.examples
    assert doctest.DocTestRunner().run(code).failed == 0
