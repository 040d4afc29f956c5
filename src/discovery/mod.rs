//! Which groups, shards and nodes there are: from the configuration, from a seed node, from AWS.
//!
//! Here are the decisions, made of answers that others asked for; nothing here speaks to a server, and only
//! [`elasticache::api`] speaks to AWS.

pub mod answers;
pub mod elasticache;
pub mod fixed;
pub mod instance;
pub mod role;
pub mod topology;
