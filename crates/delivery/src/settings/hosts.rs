//! `hosts` of a `[[route]]`: a list of next hops, or `["mx"]`.

use std::fmt;

use client::{Host, SMTP_PORT};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Who the next hop is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosts {
    /// These, whoever the recipient is; in the order of their priorities.
    Listed(Vec<ListedHost>),
    /// Whom the DNS names for the recipient's domain (RFC 5321 section 5.1), at this port.
    Mx {
        /// 25 anywhere but in a test.
        port: u16,
    },
}

/// One of several next hops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedHost {
    /// Name or address, and port.
    pub host: Host,
    /// The lower the better.
    pub priority: u32,
    /// Among equals: how much more often than one of weight 1 it comes first.
    pub weight: u16,
}

impl Hosts {
    /// What is sent there stays on this machine.
    pub(crate) fn are_loopback(&self) -> bool {
        match self {
            Self::Listed(listed) => listed.iter().all(|listed| listed.host.is_loopback()),
            Self::Mx { .. } => false,
        }
    }
}

/// What has no priority of its own stands where it is written: 10, 20, 30 …
const STEP: u32 = 10;

enum Entry {
    Text(String),
    Table(Table),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    host: Host,
    priority: Option<u32>,
    #[serde(default = "one")]
    weight: u16,
}

fn one() -> u16 {
    1
}

/// `mx`, `mx:2525`
fn mx(text: &str) -> Option<u16> {
    match text.strip_prefix("mx")? {
        "" => Some(SMTP_PORT),
        port => port.strip_prefix(':')?.parse().ok().filter(|port| *port > 0),
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfEntry;
        impl<'de> Visitor<'de> for OfEntry {
            type Value = Entry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a host such as \"mx.example.org:25\", or { host = \"mx.example.org\", priority = 10, weight = 1 }",
                )
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Entry, E> {
                Ok(Entry::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Entry, A::Error> {
                Table::deserialize(MapAccessDeserializer::new(map)).map(Entry::Table)
            }
        }
        deserializer.deserialize_any(OfEntry)
    }
}

impl<'de> Deserialize<'de> for Hosts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfHosts;
        impl<'de> Visitor<'de> for OfHosts {
            type Value = Hosts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("hosts such as [\"mx1.example.org:25\", \"192.0.2.1\"], or [\"mx\"]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Hosts, A::Error> {
                let (mut listed, mut by_mx, mut place) = (Vec::new(), None, 0_u32);
                while let Some(entry) = entries.next_element()? {
                    place = place.saturating_add(STEP);
                    let (host, priority, weight) = match entry {
                        Entry::Text(text) => match mx(&text) {
                            Some(port) => {
                                by_mx = Some(port);
                                continue;
                            }
                            None => (text.parse().map_err(A::Error::custom)?, place, 1),
                        },
                        Entry::Table(table) => (table.host, table.priority.unwrap_or(place), table.weight),
                    };
                    if weight == 0 {
                        return Err(A::Error::custom(
                            "a weight is at least 1; a host of a higher priority comes later",
                        ));
                    }
                    listed.push(ListedHost { host, priority, weight });
                }
                match by_mx {
                    None => Ok(Hosts::Listed(listed)),
                    Some(port) if listed.is_empty() && place == STEP => Ok(Hosts::Mx { port }),
                    Some(_) => {
                        Err(A::Error::custom("\"mx\" stands alone: write a route of its own for the other hosts"))
                    }
                }
            }
        }
        deserializer.deserialize_seq(OfHosts)
    }
}
