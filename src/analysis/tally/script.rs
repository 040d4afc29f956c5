//! The keys that a script declared, held until it is known whether its own commands follow: those name the keys again.

/// The declared keys of the last line, if that was a script.
#[derive(Debug, Default)]
pub(super) struct Declared {
    texts: Vec<u8>,
    ends: Vec<usize>,
    /// How the script's line begins.
    stamp: Vec<u8>,
}

/// A time stamp is no longer; what follows a shorter one doesn't matter.
const STAMP_MAX: usize = 20;

impl Declared {
    /// `stamp` begins with the time stamp of the script's line.
    pub(super) fn add(&mut self, key: &[u8], stamp: &[u8]) {
        if self.ends.is_empty() {
            self.stamp.clear();
            self.stamp.extend_from_slice(&stamp[..stamp.len().min(STAMP_MAX)]);
        }
        self.texts.extend_from_slice(key);
        self.ends.push(self.texts.len());
    }

    /// Whether there are any.
    #[inline(always)]
    pub(super) fn any(&self) -> bool {
        !self.ends.is_empty()
    }

    /// They were named again.
    pub(super) fn forget(&mut self) {
        self.texts.clear();
        self.ends.clear();
    }

    /// They weren't: gives each, with the time stamp of its line.
    pub(super) fn take(&mut self, mut key: impl FnMut(&[u8], &[u8])) {
        let mut from = 0;
        for &end in &self.ends {
            key(&self.texts[from..end], &self.stamp);
            from = end;
        }
        self.forget();
    }
}
