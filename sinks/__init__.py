"""Where results go: ClickHouse, topics, Prometheus."""
