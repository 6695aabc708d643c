-- What panes counted of features: numbers on a fixed grid, texts by value; rows add up as those of rollups do.

CREATE TABLE IF NOT EXISTS ${database}.feature_rollups
(
    model LowCardinality(String),
    model_version LowCardinality(String),
    segment LowCardinality(String),
    pane_start DateTime('UTC') CODEC(Delta, ZSTD(1)),
    partition Int32 CODEC(ZSTD(1)),
    revision UInt64 CODEC(Delta, ZSTD(1)),
    signal LowCardinality(String),   -- feature, or prediction: the predicted number, under the name ''
    feature LowCardinality(String),
    n Int64 CODEC(ZSTD(1)),          -- missing are the rollup's predictions less n
    numbers Int64 CODEC(ZSTD(1)),
    sum Float64 CODEC(ZSTD(1)),
    m2 Float64 CODEC(ZSTD(1)),       -- squares about the row's own mean
    cells Array(Int32) CODEC(Delta, ZSTD(1)),
    cell_counts Array(Int64) CODEC(ZSTD(1)),
    categories Map(String, Int64) CODEC(ZSTD(1)),
    other Int64 CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(revision)
PARTITION BY toMonday(pane_start)
ORDER BY (model, segment, signal, feature, pane_start, model_version, partition)
TTL pane_start + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1, index_granularity = 1024;
