//! hotshard tells which shard of an ElastiCache (Redis/Valkey) cluster is hot, why, and what would help.
//!
//! The map of the rooms is in `ARCHITECTURE.md`; data runs down this list, an import only goes up it.

pub mod model;

pub mod analysis;

pub mod metrics;

pub mod render;

pub mod discovery;

pub mod node;

pub mod archive;

pub mod export;

pub mod schedule;

pub mod engine;

pub mod config;

pub mod cli;
