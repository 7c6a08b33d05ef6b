//! How many attempts a destination gets at a time. It begins with a few, grows by one with each full window of attempts
//! that go well, and is halved by one that does not: what a next hop bears is found out, and followed.

/// With so many it begins, unless the route allows fewer.
const BEGIN: u32 = 5;
/// A destination is not down for less: some fail now and then and yet take most of what they get.
const PROOF: u32 = 3;

/// The window of one destination.
#[derive(Debug)]
pub(super) struct Window {
    size: u32,
    /// Attempts that went well since it last grew.
    well: u32,
    /// Attempts on end that did not.
    badly: u32,
    /// How often on end the destination was found down.
    downs: u32,
}

impl Window {
    pub(super) fn new(most: u32) -> Self {
        Self { size: BEGIN.min(most).max(1), well: 0, badly: 0, downs: 0 }
    }

    /// At least 1.
    pub(super) fn size(&self) -> u32 {
        self.size
    }

    pub(super) fn downs(&self) -> u32 {
        self.downs
    }

    /// An attempt went well.
    pub(super) fn grow(&mut self, most: u32) {
        (self.badly, self.downs) = (0, 0);
        self.well += 1;
        if self.well >= self.size {
            self.well = 0;
            self.size = self.size.saturating_add(1).min(most.max(1));
        }
    }

    /// An attempt did not. Whether the destination is down: when as many on end fail as the window is wide, or it was down
    /// before and this was the probe.
    pub(super) fn shrink(&mut self) -> bool {
        self.size = (self.size / 2).max(1);
        self.well = 0;
        self.badly = self.badly.saturating_add(1);
        let down = self.downs > 0 || self.badly >= self.size.max(PROOF);
        self.downs = self.downs.saturating_add(u32::from(down));
        down
    }
}
