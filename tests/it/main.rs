//! Every feature, from the outside: one file per feature.

mod cli;
mod config;
