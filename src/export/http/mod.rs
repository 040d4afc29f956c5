//! HTTP: where Prometheus scrapes, the orchestrator asks whether we live, and a person looks.
//!
//! Binding comes first, so that a port in use is known before anything else starts. It refuses to know the engine: it reads what
//! is published, and what an operator orders leaves through a channel.

mod access;
mod api;
mod connection;
mod events;
mod guard;
mod health;
mod listen;
mod order;
mod patient;
mod rounds;
mod routes;
mod security;
mod settings;
#[cfg(test)]
mod sockets;
mod statement;
#[cfg(test)]
mod tests;

pub use access::{Access, verify};
pub use health::{HEARTBEAT_MAX, is_ready};
pub use listen::{BindError, Bound, bind};
pub use order::{Answer, Order, Request};
pub use security::WebConfigError;
pub use settings::{
    ExternalUrl, ExternalUrlError, ListenAddress, ListenAddressError, TelemetryPath, TelemetryPathError,
    WebConfigSettings, WebSettings,
};
