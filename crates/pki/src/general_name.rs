//! GeneralName (RFC 5280 section 4.2.1.6): the names of subjectAltName, name constraints and distribution points.

use crate::der::{Malformed, Reader, Tlv, tag};
use crate::name::Name;
use crate::oid::Oid;

/// One alternative name, as it was written: texts are octets here, for a reader must not lose a NUL or a bad letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GeneralName {
    /// `otherName`: its type, and the DER of its value.
    Other {
        /// The type of the name.
        kind: Oid,
        /// The whole DER element inside the explicit tag.
        value: Box<[u8]>,
    },
    /// `rfc822Name`: a mail address.
    Rfc822(Box<[u8]>),
    /// `dNSName`.
    Dns(Box<[u8]>),
    /// `directoryName`.
    Directory(Name),
    /// `uniformResourceIdentifier`.
    Uri(Box<[u8]>),
    /// `iPAddress`: 4 or 16 octets; twice that in name constraints.
    Ip(Box<[u8]>),
    /// `registeredID`.
    Registered(Oid),
    /// `x400Address` or `ediPartyName`, by its tag: nobody uses them, so only that one is there is known.
    Unread(u8),
}

impl GeneralName {
    pub(crate) fn from_tlv(tlv: Tlv<'_>, field: &'static str) -> Result<Self, Malformed> {
        const OTHER: u8 = tag::context_constructed(0);
        const RFC822: u8 = tag::context(1);
        const DNS: u8 = tag::context(2);
        const X400: u8 = tag::context_constructed(3);
        const DIRECTORY: u8 = tag::context_constructed(4);
        const EDI_PARTY: u8 = tag::context_constructed(5);
        const URI: u8 = tag::context(6);
        const IP: u8 = tag::context(7);
        const REGISTERED: u8 = tag::context(8);
        Ok(match tlv.tag {
            OTHER => {
                let mut other = tlv.contents();
                let kind = Oid::from_octets(other.oid(field)?);
                let explicit = other.take(tag::context_constructed(0), field)?;
                other.finish(field)?;
                let mut inner = explicit.contents();
                let value = inner.any(field)?.raw.into();
                inner.finish(field)?;
                Self::Other { kind, value }
            }
            RFC822 => Self::Rfc822(tlv.value.into()),
            DNS => Self::Dns(tlv.value.into()),
            // Name is a CHOICE, so its tag is explicit.
            DIRECTORY => {
                let mut inner = tlv.contents();
                let name = Name::from_tlv(inner.take(tag::SEQUENCE, field)?, field)?;
                inner.finish(field)?;
                Self::Directory(name)
            }
            URI => Self::Uri(tlv.value.into()),
            IP => Self::Ip(tlv.value.into()),
            REGISTERED => {
                crate::der::check_oid(tlv.value, field)?;
                Self::Registered(Oid::from_octets(tlv.value))
            }
            X400 | EDI_PARTY => Self::Unread(tlv.tag),
            _ => return Err(Malformed::new(field, "an unknown form of name")),
        })
    }

    /// `GeneralNames ::= SEQUENCE SIZE (1..MAX) OF GeneralName`, from inside the SEQUENCE.
    pub(crate) fn list(mut names: Reader<'_>, field: &'static str) -> Result<Vec<Self>, Malformed> {
        let mut list = Vec::new();
        while !names.is_empty() {
            list.push(Self::from_tlv(names.any(field)?, field)?);
        }
        if list.is_empty() {
            return Err(Malformed::new(field, "no name at all"));
        }
        Ok(list)
    }
}
