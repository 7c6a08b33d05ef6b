//! What both decoders keep: how much content came, and whether it is still worth keeping.

/// A line end that is none: RFC 5321 section 2.3.8, "MUST NOT" in what a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A CR without LF.
    #[error("a CR without LF")]
    BareCr,
    /// A LF without CR.
    #[error("a LF without CR")]
    BareLf,
}

/// Where decoded content goes, until the first violation or until nobody wants it.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    pub(super) violation: Option<Violation>,
    pub(super) discarding: bool,
    pub(super) length: u64,
}

impl Content {
    pub(super) fn put(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        if self.violation.is_some() {
            return;
        }
        self.length = self.length.saturating_add(u64::try_from(octets.len()).unwrap_or(u64::MAX));
        if !self.discarding {
            out.extend_from_slice(octets);
        }
    }

    /// The first one counts.
    pub(super) fn violate(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }
}
