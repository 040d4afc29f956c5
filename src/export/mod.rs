//! How figures leave: Prometheus, HTTP, the live page. Exporters read the snapshot and nothing else.

#[cfg(test)]
mod fabricated;
pub mod http;
mod label;
mod openmetrics;
pub mod otlp;
mod page;
pub mod prometheus;
mod view;
