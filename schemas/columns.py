"""The Arrow columns of a decoded batch: the fields of an event, then where its record stood."""

import pyarrow as pa

# As pyruhvro lays out the Avro union (null, boolean, long, double, string): a sparse union whose type
# codes are the positions of the branches.
SCALAR = pa.sparse_union(
    [
        pa.field("null", pa.null()),
        pa.field("bit", pa.bool_()),
        pa.field("bigint", pa.int64()),
        pa.field("float8", pa.float64()),
        pa.field("varchar", pa.string()),
    ]
)
NULL, BOOLEAN, LONG, DOUBLE, STRING = range(5)
KIND_NAMES = ("null", "boolean", "long", "double", "string")

TIMESTAMP = pa.timestamp("ms")

COORDINATES = [
    pa.field("offset", pa.int64(), nullable=False),
    pa.field("record_time_ms", pa.int64(), nullable=False),
]


def _map(value: pa.DataType) -> pa.DataType:
    return pa.map_(pa.string(), pa.field("value", value, nullable=value == SCALAR))


INFERENCE_FIELDS = pa.schema(
    [
        pa.field("prediction_id", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("model_version", pa.string(), nullable=False),
        pa.field("timestamp", TIMESTAMP, nullable=False),
        pa.field("prediction", SCALAR),
        pa.field("scores", _map(pa.float64())),
        pa.field("features", _map(SCALAR), nullable=False),
        pa.field("segments", _map(pa.string()), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("latency_ms", pa.float64()),
        pa.field("cost", pa.float64()),
        pa.field("request_id", pa.string()),
        pa.field("role", pa.string(), nullable=False),
        pa.field("artifact_hash", pa.string()),
        pa.field("trace_id", pa.string()),
        pa.field("prediction_lower", pa.float64()),
        pa.field("prediction_upper", pa.float64()),
    ]
)
LABEL_FIELDS = pa.schema(
    [
        pa.field("prediction_id", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("label", SCALAR),
        pa.field("timestamp", TIMESTAMP, nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("sampling_probability", pa.float64()),
        pa.field("value", pa.float64()),
    ]
)

INFERENCE_COLUMNS = pa.schema([*INFERENCE_FIELDS, *COORDINATES])
LABEL_COLUMNS = pa.schema([*LABEL_FIELDS, *COORDINATES])
