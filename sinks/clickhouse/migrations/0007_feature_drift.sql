-- What features are held against: the newest of each is the one in force, the others are history.

CREATE TABLE IF NOT EXISTS ${database}.feature_references
(
    model LowCardinality(String),
    model_version LowCardinality(String),
    segment LowCardinality(String),
    signal LowCardinality(String),  -- feature, or prediction of a regression
    feature String,
    reference_version String,
    predictions Int64,
    n Int64,
    numbers Int64,
    sum Float64,
    m2 Float64,
    edges Array(Int32),             -- of cells of numbers, on the grid
    counts Array(Int64),            -- of numbers by cell, one more than edges
    values Array(Float64),          -- the mean of each of these cells
    categories Array(String),
    category_counts Array(Int64),
    rest Int64,
    level_per_s Float64,
    as_of DateTime64(3, 'UTC'),
    since Nullable(DateTime64(3, 'UTC')),
    until Nullable(DateTime64(3, 'UTC'))
)
ENGINE = ReplacingMergeTree(as_of)
ORDER BY (model, model_version, segment, signal, feature, reference_version);
