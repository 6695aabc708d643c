"""The demo: a mock Kafka, an embedded ClickHouse, simulated models and the real worker, in one process."""
