//! The one loop that owns the ledger: it polls, opens windows and publishes a snapshot after every event.

pub mod clock;
pub mod round;
pub mod settings;
