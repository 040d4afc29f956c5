//! How figures leave: Prometheus, HTTP, the live page. Exporters read the snapshot and nothing else.
