//! What would become of mail for a recipient, without a connection to anybody but the DNS.

use std::net::IpAddr;
use std::ops::Range;
use std::path::PathBuf;

use client::{Cause, Dialect, Host};
use protocol::Envelope;

use crate::courier::{ByHosts, Courier, Target};
use crate::destination::Destination;
use crate::next_hops::{self, NamedBy, NextHop};
use crate::origin::Origin;
use crate::outcome::Outcome;
use crate::scope::Condition;
use crate::settings::{Hosts, TlsMode};
use crate::tls::{Protection, Via};

/// Which route a recipient takes, and where it leads.
#[derive(Debug)]
pub struct Outlook {
    /// The routes before it, each with its place in the configuration file and the first condition that is not met.
    pub passed_over: Vec<(Range<usize>, Condition)>,
    /// `None` where no route is for the recipient.
    pub taken: Option<Way>,
}

/// The route that is taken.
#[derive(Debug)]
pub struct Way {
    /// Where it stands in the configuration file.
    pub span: Range<usize>,
    /// Where it leads.
    pub to: To,
}

/// Where a route leads.
#[derive(Debug)]
pub enum To {
    /// To other hosts.
    Hosts {
        /// Whom it names.
        hosts: Hosts,
        /// What they speak.
        dialect: Dialect,
        /// How much they must be trusted.
        tls: TlsMode,
        /// In the order in which they would be tried now; chance decides among equals. Or what becomes of mail at once.
        hops: Result<Vec<Hop>, Outcome>,
    },
    /// Into a Maildir.
    Maildir {
        /// Of the recipient; `None` where the address makes no name of a folder.
        folder: Option<PathBuf>,
        /// It is made where it is not there.
        create: bool,
    },
}

/// A host that would be tried.
#[derive(Debug)]
pub struct Hop {
    /// Which.
    pub host: Host,
    /// By whom it was named.
    pub named_by: NamedBy,
    /// That is in the configuration, or in an answer that is signed.
    pub is_name_secure: bool,
    /// Where it is, in the order of trying.
    pub addresses: Result<Vec<IpAddr>, Cause>,
    /// What TLS would come to.
    pub tls: Result<Protection, Cause>,
}

impl Courier {
    /// What would become of mail for the recipient at this position of the envelope. `None` when there is none.
    pub async fn outlook(&self, origin: &Origin, envelope: &Envelope, recipient: usize) -> Option<Outlook> {
        let (at, recipient) = (recipient, envelope.recipients.get(recipient)?);
        let domain = recipient.mailbox.domain();
        let verdicts = self.routes.iter().map(|route| (route.span(), route.unmet(origin, envelope, domain)));
        let passed_over = verdicts.map_while(|(span, unmet)| Some((span, unmet?))).collect();
        let destination = self.destination(origin, envelope, at);
        let taken = match destination.as_ref().and_then(|destination| Some((destination, self.get(destination)?))) {
            None => None,
            Some((destination, route)) => {
                let to = match &route.target {
                    Target::Hosts(way) => self.to_hosts(way, destination).await,
                    Target::Maildir(maildir) => {
                        To::Maildir { folder: maildir.folder(&recipient.mailbox), create: maildir.settings().create }
                    }
                };
                Some(Way { span: route.span(), to })
            }
        };
        Some(Outlook { passed_over, taken })
    }

    async fn to_hosts(&self, way: &ByHosts, destination: &Destination) -> To {
        let domain = destination.domain.as_deref();
        let hops = match next_hops::resolve(&way.hosts, domain, &way.own_names, &self.resolver).await {
            Ok(hops) => self.hops(way, domain, hops).await,
            Err(outcome) => Err(outcome),
        };
        To::Hosts { hosts: way.hosts.clone(), dialect: way.dialect, tls: way.tls.mode(), hops }
    }

    async fn hops(&self, way: &ByHosts, domain: Option<&str>, hops: Vec<NextHop>) -> Result<Vec<Hop>, Outcome> {
        let (mut shown, mut absent) = (Vec::new(), Vec::new());
        for hop in hops {
            let via = Via { domain, secure: hop.secure, tls_not_required: false, only_look: true };
            let tls = way.tls.plan(&hop.host, via).await.0.map(|plan| plan.protection());
            let addresses = match hop.addresses(&self.resolver).await {
                Ok(answer) => Ok(answer.records),
                Err(missing) => {
                    absent.extend(missing.for_good.then(|| missing.cause.clone()));
                    Err(missing.cause)
                }
            };
            shown.push(Hop { host: hop.host, named_by: hop.named_by, is_name_secure: hop.secure, addresses, tls });
        }
        match absent.last() {
            Some(cause) if absent.len() == shown.len() => Err(next_hops::nowhere(cause)),
            _ => Ok(shown),
        }
    }
}
