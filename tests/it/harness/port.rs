//! Ports that no other test takes, though each test runs in a process of its own.
//!
//! A port is leased by a lock on a file in a folder that all tests of this machine share; the kernel drops the lock
//! with the process. The range lies below the one from which the kernel serves outgoing connections.

use std::fs::{self, File};
use std::net::TcpListener;
use std::ops::Range;
use std::path::Path;

/// Not where TMPDIR says: all tests of the machine must agree on it.
const LEASES: &str = "/tmp/hotshard-test-ports";
const PORTS: Range<u16> = 20_000..30_000;
/// How far a cluster's bus is from its port where that can't be set.
const BUS_OFFSET: u16 = 10_000;
/// With that they lie outside of all leases and still below the kernel's own.
const PORTS_BELOW_BUS: Range<u16> = 20_000..22_700;

/// A port that is ours until this is dropped.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// A free one; the search begins at a place of this process's own.
    pub(crate) fn lease() -> Self {
        let count = PORTS.end - PORTS.start;
        let start = u16::try_from(std::process::id() % u32::from(count)).expect("the remainder is below the count");
        (0..count)
            .map(|step| PORTS.start + (u32::from(start) * 7 + u32::from(step)) as u16 % count)
            .find_map(Self::try_lease)
            .unwrap_or_else(|| panic!("no free port in {PORTS:?}"))
    }

    /// A free one whose neighbour so far above, which nobody leases, is free too: servers before 7.0 have their cluster bus there.
    pub(crate) fn lease_below_bus() -> Self {
        let is_free = |number: u16| TcpListener::bind(("127.0.0.1", number + BUS_OFFSET)).is_ok();
        let mut free = PORTS_BELOW_BUS.filter(|number| is_free(*number));
        free.find_map(Self::try_lease)
            .unwrap_or_else(|| panic!("no free port in {PORTS_BELOW_BUS:?}"))
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    fn try_lease(number: u16) -> Option<Self> {
        fs::create_dir_all(LEASES).expect("the temporary folder takes a folder");
        let lock = File::create(Path::new(LEASES).join(number.to_string())).expect("the ports' folder takes a file");
        lock.try_lock().ok()?;
        // Somebody who doesn't lease may sit on it.
        TcpListener::bind(("127.0.0.1", number)).ok()?;
        Some(Self { number, _lock: lock })
    }
}
