//! What a judgement of authors rests on, apart from the rest of the header section: kept, and asked about again.

use serde::{Deserialize, Serialize};

use crate::header::HeaderSection;

/// The fields that [`HeaderSection::originators`] reads, as they came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginatorFields {
    /// Every From and Sender, each with its folding and a CRLF.
    pub fields: String,
    /// See [`crate::header::HeaderSummary::control`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub control: bool,
    /// See [`crate::header::HeaderSummary::signed`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub signed: bool,
}

impl HeaderSection {
    /// The fields that name authors; `None` where they are over `max` octets, or not UTF-8.
    #[must_use]
    pub fn originator_fields(&self, max: usize) -> Option<OriginatorFields> {
        let mut fields = String::new();
        for place in self.from.iter().chain(&self.sender) {
            let field = std::str::from_utf8(self.octets.get(place.clone())?).ok()?;
            if fields.len().saturating_add(field.len()) > max {
                return None;
            }
            fields.push_str(field);
            if !field.ends_with("\r\n") {
                fields.push_str("\r\n");
            }
        }
        Some(OriginatorFields { fields, control: self.summary.control, signed: self.summary.signed })
    }
}

/// A header section that names the same authors.
impl From<&OriginatorFields> for HeaderSection {
    fn from(kept: &OriginatorFields) -> Self {
        let mut section = Self::read(kept.fields.as_bytes()).unwrap_or_default();
        section.summary.control |= kept.control;
        section.summary.signed |= kept.signed;
        section
    }
}
