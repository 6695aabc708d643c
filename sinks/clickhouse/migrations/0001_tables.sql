-- The tables of the contract. Each keeps the newest of equal keys, so that writing anything twice changes nothing.

CREATE TABLE IF NOT EXISTS ${database}.predictions
(
    prediction_id String CODEC(ZSTD(1)),
    model LowCardinality(String),
    model_version LowCardinality(String),
    timestamp DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    prediction Nullable(String) CODEC(ZSTD(1)),          -- canonical text: integral numbers without fraction
    prediction_kind LowCardinality(String),              -- null, boolean, long, double, string
    prediction_number Nullable(Float64) CODEC(ZSTD(1)),  -- of longs and doubles
    scores Map(LowCardinality(String), Float64) CODEC(ZSTD(1)),
    features Map(LowCardinality(String), String) CODEC(ZSTD(3)),  -- values are JSON scalars
    segments Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    status LowCardinality(String),
    latency_ms Nullable(Float64) CODEC(ZSTD(1)),
    cost Nullable(Float64) CODEC(ZSTD(1)),
    request_id Nullable(String) CODEC(ZSTD(1)),
    role LowCardinality(String),
    artifact_hash LowCardinality(Nullable(String)),
    trace_id Nullable(String) CODEC(ZSTD(1)),
    topic LowCardinality(String),
    partition Int32,
    offset Int64 CODEC(Delta, ZSTD(1)),
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
-- By week: by day, a replay of 100 days in one block breaks max_partitions_per_insert_block.
PARTITION BY toMonday(timestamp)
-- The offset is in the key: redelivery collapses, a true repeat stays.
ORDER BY (model, toStartOfMinute(timestamp), prediction_id, topic, partition, offset)
TTL toDateTime(timestamp) + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS ${database}.labels
(
    prediction_id String CODEC(ZSTD(1)),
    model LowCardinality(String),
    label Nullable(String) CODEC(ZSTD(1)),
    label_kind LowCardinality(String),
    label_number Nullable(Float64) CODEC(ZSTD(1)),
    timestamp DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    source LowCardinality(String),
    sampling_probability Nullable(Float64) CODEC(ZSTD(1)),
    value Nullable(Float64) CODEC(ZSTD(1)),
    topic LowCardinality(String),
    partition Int32,
    offset Int64 CODEC(Delta, ZSTD(1)),
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toMonday(timestamp)
-- Every label is kept: which one counts is decided on reading, so the order of arrival cannot matter.
ORDER BY (prediction_id, model, timestamp, topic, partition, offset)
TTL toDateTime(timestamp) + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1, index_granularity = 1024;

CREATE TABLE IF NOT EXISTS ${database}.rollups
(
    model LowCardinality(String),
    model_version LowCardinality(String),
    segment LowCardinality(String),
    pane_start DateTime('UTC') CODEC(Delta, ZSTD(1)),
    partition Int32 CODEC(ZSTD(1)),  -- of the inputs; -1 is the cold join, whose row holds the whole pane
    revision UInt64 CODEC(Delta, ZSTD(1)),
    predictions Int64 CODEC(ZSTD(1)),
    failures Int64 CODEC(ZSTD(1)),
    duplicates Int64 CODEC(ZSTD(1)),
    booleans Int64 CODEC(ZSTD(1)),
    longs Int64 CODEC(ZSTD(1)),
    doubles Int64 CODEC(ZSTD(1)),
    strings Int64 CODEC(ZSTD(1)),
    scored Int64 CODEC(ZSTD(1)),
    labelled Int64 CODEC(ZSTD(1)),
    class_n Int64 CODEC(ZSTD(1)),
    hits Int64 CODEC(ZSTD(1)),
    reg_n Int64 CODEC(ZSTD(1)),
    ape_n Int64 CODEC(ZSTD(1)),
    cost_n Int64 CODEC(ZSTD(1)),
    value_n Int64 CODEC(ZSTD(1)),
    err_sum Float64 CODEC(ZSTD(1)),
    abs_err_sum Float64 CODEC(ZSTD(1)),
    sq_err_sum Float64 CODEC(ZSTD(1)),
    label_sum Float64 CODEC(ZSTD(1)),
    label_m2 Float64 CODEC(ZSTD(1)),
    ape_sum Float64 CODEC(ZSTD(1)),
    cost_sum Float64 CODEC(ZSTD(1)),
    value_sum Float64 CODEC(ZSTD(1)),
    predicted Map(String, Int64) CODEC(ZSTD(1)),
    confusion Map(String, Int64) CODEC(ZSTD(1)),
    statuses Map(String, Int64) CODEC(ZSTD(1)),
    latency Array(Int64) CODEC(ZSTD(1)),
    delay Array(Int64) CODEC(ZSTD(1)),
    -- Up to 21 classes of a row with longs, hashed: tells 20 classes from more without reading a map. Never sent.
    long_classes Array(UInt64)
        MATERIALIZED if(longs = 0, [], arraySlice(arrayMap(class -> cityHash64(class), mapKeys(predicted)), 1, 21))
        CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(revision)
PARTITION BY toMonday(pane_start)
ORDER BY (model, segment, pane_start, model_version, partition)
TTL pane_start + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1, index_granularity = 1024;

CREATE TABLE IF NOT EXISTS ${database}.drift_events
(
    model LowCardinality(String),
    model_version LowCardinality(String),
    segment String,
    feature String,
    signal LowCardinality(String),
    detector LowCardinality(String),
    detected_at DateTime64(3, 'UTC'),
    change_start DateTime64(3, 'UTC'),
    change_end DateTime64(3, 'UTC'),
    before Float64,
    after Float64
)
ENGINE = ReplacingMergeTree
ORDER BY (model, detected_at, model_version, segment, feature, signal, detector, change_start, change_end);

CREATE TABLE IF NOT EXISTS ${database}.alerts
(
    event_id String,
    fingerprint String,
    status LowCardinality(String),
    corrects Nullable(String),
    severity LowCardinality(String),
    rule LowCardinality(String),
    kind LowCardinality(String),
    model LowCardinality(String),
    model_version LowCardinality(String),
    segment String,
    feature String,
    metric LowCardinality(String),
    value Nullable(Float64),
    threshold Nullable(Float64),
    window_start DateTime64(3, 'UTC'),
    window_end DateTime64(3, 'UTC'),
    started_at DateTime64(3, 'UTC'),
    timestamp DateTime64(3, 'UTC'),
    summary String,
    runbook_url String,
    labels Map(LowCardinality(String), String),
    evidence Map(LowCardinality(String), String)  -- values are JSON scalars
)
ENGINE = ReplacingMergeTree
ORDER BY (model, event_id);

CREATE TABLE IF NOT EXISTS ${database}.dead_letters
(
    topic LowCardinality(String),
    partition Int32,
    offset Int64 CODEC(Delta, ZSTD(1)),
    reason LowCardinality(String),
    field LowCardinality(String),
    value String CODEC(ZSTD(1)),
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
-- The time is in the key, since a topic that was deleted and made again counts its offsets from 0.
ORDER BY (topic, partition, offset, received_at)
TTL toDateTime(received_at) + INTERVAL 90 DAY;

CREATE TABLE IF NOT EXISTS ${database}.lifecycle_events
(
    model LowCardinality(String),
    model_version LowCardinality(String),
    timestamp DateTime64(3, 'UTC'),
    kind LowCardinality(String),
    message String,
    actor String,
    artifact_hash Nullable(String),
    attributes Map(LowCardinality(String), String),
    topic LowCardinality(String),
    partition Int32,
    offset Int64,
    received_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (model, timestamp, topic, partition, offset);

CREATE TABLE IF NOT EXISTS ${database}.model_states
(
    model LowCardinality(String),
    model_version LowCardinality(String),
    task LowCardinality(String),  -- binary, multiclass, regression
    mature_until DateTime64(3, 'UTC'),
    as_of DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(as_of)
ORDER BY (model, model_version);
