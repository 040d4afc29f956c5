//! How figures leave: Prometheus, HTTP, the live page. Exporters read the snapshot and nothing else.

#[cfg(test)]
mod fabricated;
mod label;
mod openmetrics;
pub mod prometheus;
