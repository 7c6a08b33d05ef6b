//! DANE: a next hop that its own zone vouches for (RFC 6698, RFC 7671, RFC 7672).
//!
//! Whether TLSA records count at all, their signatures say, and that is for whoever asks the DNS; here is what they say
//! of a certificate.

use client::{Cause, Host, Mistrust, TlsFailure};
use dns::{Missing, Resolver, Tlsa};
use pki::{Certificate, Hash, KeyPurpose, Time, Trust, TrustSettings};
use rustls::pki_types::ServerName;

use crate::tls::shown::Judge;
use crate::tls::trusted::{named, path};

/// What the DNS says of a host's certificates.
#[derive(Debug)]
pub(crate) enum Records {
    /// Nothing, or nothing that is signed.
    Nothing,
    /// There are signed records, and none that can be used.
    Unusable,
    /// So it must be.
    Usable(Associations),
}

/// What was found, and of which name.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) records: Records,
    /// The TLSA base domain; `None` where there are no records.
    pub(crate) base: Option<String>,
    /// The records in their presentation format (RFC 6698 section 2.2), for reports.
    pub(crate) shown: Vec<String>,
}

impl Found {
    pub(crate) fn nothing() -> Self {
        Self { records: Records::Nothing, base: None, shown: Vec::new() }
    }
}

/// Looks up the TLSA records of a next hop: RFC 7672 section 2.2. `domain` is what it is an exchange of.
///
/// # Errors
/// When the DNS does not say, or not so that it can be believed: whoever can make it so must not be able to switch DANE off.
pub(crate) async fn records(resolver: &Resolver, host: &Host, domain: Option<&str>) -> Result<Found, Cause> {
    // Section 2.2.2 is about names; an address has no zone of its own.
    let ServerName::DnsName(name) = host.name() else { return Ok(Found::nothing()) };
    let unbelieved = |what: &str, why: String| {
        let text = format!("{what} cannot be looked up: {why}");
        Err(Cause { unreachable: true, ..Cause::tls(Some(host), TlsFailure::DnssecInvalid, text) })
    };
    let name = name.as_ref().to_ascii_lowercase();
    let canonical = match resolver.addresses(&name).await {
        // Where addresses are not signed, TLSA records are not either, and some servers fail to say so.
        Ok(answer) if !answer.secure => return Ok(Found::nothing()),
        Ok(answer) => answer.name,
        Err(Missing::Name | Missing::Records) => return Ok(Found::nothing()),
        Err(Missing::Unknown(why)) => return unbelieved("its addresses", why),
    };
    // Section 2.2.2: of an alias, the name it stands for has them first.
    let bases = [Some(&canonical).filter(|canonical| **canonical != name), Some(&name)];
    for base in bases.into_iter().flatten() {
        match resolver.tlsa(&format!("_{}._tcp.{base}", host.port())).await {
            Ok(answer) if answer.secure => {
                // Section 3.2.2: the next-hop domain too.
                let names = [Some(base.as_str()), Some(name.as_str()), domain].into_iter().flatten();
                let names = names.filter_map(|name| ServerName::try_from(name.to_owned()).ok()).collect();
                let records = Associations::of(&answer.records, names).map_or(Records::Unusable, Records::Usable);
                let mut shown: Vec<String> = answer.records.iter().map(ToString::to_string).collect();
                // Servers take turns with the order, and it is one policy.
                shown.sort_unstable();
                return Ok(Found { records, base: Some(base.clone()), shown });
            }
            Ok(_) | Err(Missing::Name | Missing::Records) => {}
            Err(Missing::Unknown(why)) => return unbelieved("its TLSA records", why),
        }
    }
    Ok(Found::nothing())
}

/// A record that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Association {
    usage: Usage,
    selector: Selector,
    matching: Matching,
    data: Vec<u8>,
}

/// RFC 7218. The other two, PKIX-TA and PKIX-EE, cannot be used: RFC 7672 section 3.1.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Usage {
    /// 2, DANE-TA: an authority that vouches for the host.
    Ta,
    /// 3, DANE-EE: the host itself.
    Ee,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Selector {
    /// 0, the whole certificate.
    Cert,
    /// 1, its public key.
    Spki,
}

/// In the order of strength.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Matching {
    /// 1
    Sha256,
    /// 2
    Sha512,
    /// 0
    Full,
}

/// The records of one host that can be used; at least one.
#[derive(Debug, Clone)]
pub(crate) struct Associations {
    usable: Vec<Association>,
    /// What an authority's certificate may be for: the TLSA base domain and the next-hop domain (RFC 7672 section 3.2.2).
    names: Vec<ServerName<'static>>,
}

impl Associations {
    /// `None` where no record can be used: TLS is then needed and nobody can be authenticated (RFC 7672 section 2.2).
    pub(crate) fn of(records: &[Tlsa], names: Vec<ServerName<'static>>) -> Option<Self> {
        let usable: Vec<Association> = records.iter().filter_map(Association::of).collect();
        let usable = strongest(&usable);
        (!usable.is_empty()).then_some(Self { usable, names })
    }

    fn with(&self, usage: Usage) -> impl Iterator<Item = &Association> {
        self.usable.iter().filter(move |association| association.usage == usage)
    }

    /// The certificates of these, and those that records bring themselves, that are authorities for the host.
    fn authorities(&self, others: &[&[u8]]) -> Vec<Certificate> {
        let shown = others.iter().take(MAX_OTHERS).copied();
        let matched = shown.filter(|other| self.with(Usage::Ta).any(|association| association.matches(other)));
        // RFC 7671 section 5.2.1: a "2 0 0" record is the certificate, and works without its being sent.
        let brought = self
            .with(Usage::Ta)
            .filter(|association| (association.selector, association.matching) == (Selector::Cert, Matching::Full));
        let ders = matched.chain(brought.map(|association| association.data.as_slice()));
        ders.filter_map(|der| Certificate::from_der(der).ok()).collect()
    }
}

/// More certificates than any host sends.
const MAX_OTHERS: usize = 32;

/// Digest agility, RFC 7671 section 9: of the hashes that are published for one usage and selector, the strongest counts.
fn strongest(associations: &[Association]) -> Vec<Association> {
    let counts = |one: &&Association| {
        one.matching == Matching::Full
            || !associations.iter().any(|other| {
                (other.usage, other.selector) == (one.usage, one.selector)
                    && other.matching == Matching::Sha512
                    && one.matching == Matching::Sha256
            })
    };
    associations.iter().filter(counts).cloned().collect()
}

impl Association {
    fn of(record: &Tlsa) -> Option<Self> {
        let usage = match record.usage {
            2 => Usage::Ta,
            3 => Usage::Ee,
            _ => return None,
        };
        let selector = match record.selector {
            0 => Selector::Cert,
            1 => Selector::Spki,
            _ => return None,
        };
        let (matching, fits) = match record.matching {
            0 => (Matching::Full, !record.data.is_empty()),
            1 => (Matching::Sha256, record.data.len() == 32),
            2 => (Matching::Sha512, record.data.len() == 64),
            _ => return None,
        };
        // A whole certificate or key that cannot be read matches nothing, and would only forbid the rest.
        let readable = match (matching, selector) {
            (Matching::Full, Selector::Cert) => Certificate::from_der(&record.data).is_ok(),
            _ => true,
        };
        (fits && readable).then(|| Self { usage, selector, matching, data: record.data.clone() })
    }

    fn matches(&self, certificate: &[u8]) -> bool {
        let selected = match self.selector {
            Selector::Cert => certificate,
            Selector::Spki => match pki::subject_public_key_info(certificate) {
                Ok(key) => key,
                Err(_) => return false,
            },
        };
        match self.matching {
            Matching::Full => selected == self.data,
            Matching::Sha256 => Hash::Sha256.of(selected) == self.data,
            Matching::Sha512 => Hash::Sha512.of(selected) == self.data,
        }
    }
}

impl Judge for Associations {
    fn judge(&self, chain: &[&[u8]], _: &ServerName<'_>) -> Result<(), Mistrust> {
        let Some((own, others)) = chain.split_first() else { return Err(no_match("it has shown no certificate")) };
        // RFC 7672 section 3.1.1: neither names nor dates count, the zone says which key it is.
        if self.with(Usage::Ee).any(|association| association.matches(own)) {
            return Ok(());
        }
        let anchors = self.authorities(others);
        if anchors.is_empty() {
            return Err(no_match("no TLSA record matches its certificates"));
        }
        let settings = TrustSettings {
            extended_key_usage: KeyPurpose::server_auth(),
            revocation: Vec::new(),
            ..TrustSettings::with_anchors(Vec::new())
        };
        let trust = Trust::new("dane", &settings, anchors, Vec::new()).map_err(|error| no_match(&error.to_string()))?;
        let verdict = trust.verify(chain, &pki::CrlStore::empty(), Time::now());
        path(&verdict)?;
        named(&verdict, &self.names)
    }
}

fn no_match(text: &str) -> Mistrust {
    Mistrust { failure: TlsFailure::CertificateNotTrusted, text: text.to_owned() }
}

#[cfg(test)]
mod tests;
