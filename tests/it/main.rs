//! Every feature, from the outside: one file per feature.

#![cfg(test)]

mod alerts;
mod analyze;
mod archive;
mod bandwidth;
mod check_connect;
mod cli;
mod commands;
mod config;
mod connecting;
mod dashboards;
mod disturbances;
mod elasticache;
mod fleet;
mod fuzz_corpus;
mod harness;
mod helm;
mod house;
mod independent_count;
mod key_positions;
mod layering;
mod live_page;
mod manual;
mod monitor;
mod privacy;
mod pushing;
mod real_cluster;
mod real_servers;
mod reload;
mod replication_lag;
mod repository;
mod resharding;
mod rounds;
mod scraping;
mod service;
mod serving;
mod signals;
mod sources;
mod stage;
mod surveying;
mod tapping;
mod verdict;
mod windows;
mod witnesses;
