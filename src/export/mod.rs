//! How figures leave: Prometheus, HTTP, the live page. Exporters read the snapshot and nothing else.

mod exposition;
#[cfg(test)]
mod fabricated;
pub mod http;
mod label;
pub mod open;
pub mod otlp;
mod page;
pub mod prometheus;
mod view;
