//! How a quantity becomes the number of a sample.

use std::time::Duration;

use crate::model::{Bytes, PerSecond, Ratio, Seconds, Timestamp};

/// A quantity that a sample can show; `None` is unknown.
pub(super) trait Figure {
    fn figure(self) -> Option<f64>;
}

macro_rules! figures {
    ($($kind:ty: $this:ident => $value:expr;)*) => {$(
        impl Figure for $kind {
            fn figure(self) -> Option<f64> {
                let $this = self;
                Some($value)
            }
        }
    )*};
}

figures! {
    f64: value => value;
    u32: count => f64::from(count);
    u64: count => count as f64;
    usize: count => count as f64;
    bool: flag => f64::from(u8::from(flag));
    Bytes: bytes => bytes.0 as f64;
    PerSecond: rate => rate.0;
    Ratio: ratio => ratio.0;
    Seconds: seconds => seconds.0;
    Timestamp: moment => moment.as_seconds();
    Duration: span => span.as_secs_f64();
}

impl<Known: Figure> Figure for Option<Known> {
    fn figure(self) -> Option<f64> {
        self.and_then(Figure::figure)
    }
}
