//! The words everything else is written in: identities, units, and what a cluster looks like.
//!
//! Pure, and names no other module. It refuses to know where a cluster was found or how a server answers.
//!
//! ```
//! use hotshard::model::{Endpoint, Slot};
//!
//! let endpoint: Endpoint = "[fd00::7]:6379".parse()?;
//! assert_eq!((endpoint.host(), endpoint.port()), ("fd00::7", 6379));
//! assert!(Slot::new(16_384).is_none());
//! # Ok::<(), hotshard::model::EndpointError>(())
//! ```

mod cost;
mod endpoint;
mod ids;
mod topology;
mod units;
pub mod written;

pub use cost::OwnCost;
pub use endpoint::{Endpoint, EndpointError};
pub use ids::{GroupId, GroupKey, NodeId, Region, RunId, ShardId};
pub use topology::{Group, Node, Role, Shard, SlotRange, SlotSet};
pub use units::{Bytes, PerSecond, Ratio, Seconds, Slot, Timestamp};
