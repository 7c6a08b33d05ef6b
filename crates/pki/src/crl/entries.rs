//! The entries of a list (RFC 5280 section 5.3) as they come by, put into tables by the issuer of the certificates.

use std::collections::HashMap;

use crate::crl::extensions::unknown_critical;
use crate::crl::table::{Entry, SerialTable};
use crate::der::{Malformed, Reader, Tlv, tag};
use crate::extensions::read_extension;
use crate::general_name::GeneralName;
use crate::name::Name;
use crate::oid;
use crate::time::Time;

/// The entries as they come by.
pub(crate) struct Entries {
    tables: HashMap<Name, SerialTable>,
    /// Whose certificates the next entries are about: RFC 5280 section 5.3.3, it holds until another is named.
    issuer: Name,
    table: SerialTable,
    pub(crate) names_issuers: bool,
}

impl Entries {
    pub(crate) fn new(issuer: Name) -> Self {
        Self { tables: HashMap::new(), issuer, table: SerialTable::default(), names_issuers: false }
    }

    /// Reads one.
    pub(crate) fn read(&mut self, entry: Tlv<'_>) -> Result<(), Malformed> {
        const FIELD: &str = "revokedCertificate";
        let mut fields = entry.contents();
        let serial = fields.integer("userCertificate")?;
        let date = Time::from_tlv(fields.any("revocationDate")?, "revocationDate")?;
        let extensions = fields.optional(tag::SEQUENCE, "crlEntryExtensions")?;
        fields.finish(FIELD)?;
        let mut reason = 0;
        let mut extensions = extensions.map(|tlv| tlv.contents());
        while let Some(sequence) = extensions.as_mut().filter(|sequence| !sequence.is_empty()) {
            let extension = read_extension(sequence)?;
            let mut value = Reader::new(extension.value);
            match extension.oid {
                oid::REASON_CODE => {
                    reason = match value.take(tag::ENUMERATED, "reasonCode")?.value {
                        [reason @ (0..=6 | 8..=10)] => *reason,
                        _ => return Err(Malformed::new("reasonCode", "none of RFC 5280 section 5.3.1")),
                    };
                }
                oid::CERTIFICATE_ISSUER => {
                    let names = GeneralName::list(value.sequence("certificateIssuer")?, "certificateIssuer")?;
                    let name = names.into_iter().find_map(|name| match name {
                        GeneralName::Directory(name) => Some(name),
                        _ => None,
                    });
                    self.switch_to(name.ok_or_else(|| Malformed::new("certificateIssuer", "no directoryName"))?);
                }
                oid::INVALIDITY_DATE => {}
                _ if extension.critical => return Err(unknown_critical(&extension)),
                _ => {}
            }
        }
        self.table.push(serial, Entry { reason, date });
        Ok(())
    }

    fn switch_to(&mut self, issuer: Name) {
        self.names_issuers = true;
        if issuer != self.issuer {
            let next = self.tables.remove(&issuer).unwrap_or_default();
            let previous = std::mem::replace(&mut self.issuer, issuer);
            self.tables.insert(previous, std::mem::replace(&mut self.table, next));
        }
    }

    /// The entries of the list's own issuer, and those of others.
    pub(crate) fn finish(mut self, own: &Name) -> (SerialTable, HashMap<Name, SerialTable>) {
        self.tables.insert(self.issuer, self.table);
        for table in self.tables.values_mut() {
            table.finish();
        }
        (self.tables.remove(own).unwrap_or_default(), self.tables)
    }
}
