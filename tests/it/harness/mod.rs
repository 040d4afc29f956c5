//! Real servers and tools for the tests: each on free loopback ports, in its own temporary folder, gone when the
//! value that stands for it is dropped, also when the test panics or is killed.
//!
//! A part that isn't installed fails the test and says how to install it; nothing is ever skipped.
//!
//! Beside them stand hotshard's own ways to such a server, as tests open them: [`link`] and [`window`].

pub(crate) mod alertmanager;
pub(crate) mod aws;
pub(crate) mod browser;
pub(crate) mod cluster;
pub(crate) mod collector;
pub(crate) mod figures;
pub(crate) mod freezer;
pub(crate) mod hotshard;
pub(crate) mod http;
pub(crate) mod link;
pub(crate) mod moto;
pub(crate) mod network;
pub(crate) mod port;
pub(crate) mod process;
pub(crate) mod prometheus;
pub(crate) mod proxy;
pub(crate) mod resp;
pub(crate) mod server;
pub(crate) mod tls;
pub(crate) mod tools;
pub(crate) mod traffic;
pub(crate) mod truth;
pub(crate) mod wait;
pub(crate) mod window;
