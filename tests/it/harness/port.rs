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
