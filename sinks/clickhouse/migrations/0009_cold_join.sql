-- What the cold join looks things up in: whose predictions labels are, which panes wait, how far it has looked.

-- A map is never null: whether a prediction came with scores at all decides what its number is.
ALTER TABLE ${database}.predictions
    ADD COLUMN IF NOT EXISTS scores_given Bool DEFAULT notEmpty(scores) AFTER scores,
    -- Granules hold a minute of predictions, so only those with late ones among them are read.
    ADD INDEX IF NOT EXISTS received received_at TYPE minmax GRANULARITY 1;

ALTER TABLE ${database}.predictions MATERIALIZE INDEX received;

-- Numbers are compared in place of texts: a label's prediction is looked for among those of three months.
ALTER TABLE ${database}.labels ADD COLUMN IF NOT EXISTS id_hash UInt64 MATERIALIZED cityHash64(prediction_id);

CREATE TABLE IF NOT EXISTS ${database}.prediction_ids
(
    id_hash UInt64 CODEC(Delta, ZSTD(1)),
    model LowCardinality(String),
    second DateTime('UTC') CODEC(ZSTD(1)),  -- of the prediction's timestamp
    partition Int32 CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toMonday(second)
ORDER BY (id_hash, model, second, partition)
TTL second + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1, index_granularity = 256;

CREATE MATERIALIZED VIEW IF NOT EXISTS ${database}.prediction_ids_from_predictions TO ${database}.prediction_ids AS
SELECT cityHash64(prediction_id) AS id_hash, model, toDateTime(timestamp, 'UTC') AS second, partition
FROM ${database}.predictions
WHERE role != 'test';

INSERT INTO ${database}.prediction_ids
SELECT cityHash64(prediction_id), model, toDateTime(timestamp, 'UTC'), partition
FROM ${database}.predictions
WHERE role != 'test';

CREATE TABLE IF NOT EXISTS ${database}.label_ids
(
    partition Int32,
    offset Int64 CODEC(Delta, ZSTD(1)),
    id_hash UInt64 CODEC(ZSTD(1)),
    model LowCardinality(String),
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toMonday(received_at)
ORDER BY (partition, offset)
TTL toDateTime(received_at) + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS ${database}.label_ids_from_labels TO ${database}.label_ids AS
SELECT partition, offset, cityHash64(prediction_id) AS id_hash, model, received_at
FROM ${database}.labels;

INSERT INTO ${database}.label_ids
SELECT partition, offset, cityHash64(prediction_id), model, received_at
FROM ${database}.labels;

CREATE TABLE IF NOT EXISTS ${database}.cold_panes
(
    model LowCardinality(String),
    pane_start DateTime('UTC'),
    waiting_since Nullable(DateTime64(3, 'UTC')),  -- NULL: joined, nothing has touched it since
    joined_at Nullable(DateTime64(3, 'UTC')),
    revision UInt64                                -- of this row
)
ENGINE = ReplacingMergeTree(revision)
ORDER BY (model, pane_start)
TTL pane_start + INTERVAL 100 DAY;

CREATE TABLE IF NOT EXISTS ${database}.cold_labels
(
    id_hash UInt64,
    model LowCardinality(String),
    partition Int32,
    received_at DateTime64(3, 'UTC'),
    try_at DateTime64(3, 'UTC'),
    is_open Bool,
    tries UInt64
)
ENGINE = ReplacingMergeTree(tries)
ORDER BY (id_hash, model, partition, received_at)
TTL toDateTime(received_at) + INTERVAL 90 DAY;

CREATE TABLE IF NOT EXISTS ${database}.cold_scans
(
    partition Int32,
    epoch Int64,
    inference_offset Int64,
    label_offset Int64,
    inference_ms Int64,
    labels_ms Int64,
    unmatched Int64,
    floor_ms Int64,
    revision UInt64
)
ENGINE = ReplacingMergeTree(revision)
ORDER BY partition;
