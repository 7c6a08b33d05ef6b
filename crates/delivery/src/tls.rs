//! TLS towards the next hop: what a route's mode comes to for each connection.

mod dane;
mod trusted;
mod shown;
mod names;
pub(crate) mod sts;
mod sts_policy;

use std::sync::Arc;

use client::{Cause, Connection, Host, OwnCertificate, Tls, TlsFailure, connector};
use dns::Resolver;
use rustls::crypto::CryptoProvider;
use tokio_rustls::TlsConnector;

use crate::error::DeliveryError;
use crate::means::Means;
use crate::settings::{RouteSettings, TlsMode};
use crate::tls::shown::{Anybody, Judge, Shown};
use crate::tls::sts::{Found, Policies};
use crate::tls::sts_policy::{Policy, PolicyMode};
use crate::tls::trusted::Authorities;
use crate::tls_tally::{Applied, AppliedPolicy, PolicyType};

/// What connections of a route do about TLS.
#[derive(Debug)]
pub(crate) struct RouteTls {
    mode: Mode,
    maker: Maker,
}

#[derive(Debug)]
enum Mode {
    None,
    May,
    Require,
    Verify(Authorities),
    Dane(Arc<Resolver>),
    MtaSts(Authorities, Policies),
}

/// The way to a host, as far as its TLS depends on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Via<'a> {
    /// The recipient's domain in A-labels, where the route asks for it.
    pub(crate) domain: Option<&'a str>,
    /// The host's name comes from the configuration, or from an answer that is signed.
    pub(crate) secure: bool,
    /// The sender does not want the message held up for policies of the recipient's side (RFC 8689 section 3).
    pub(crate) tls_not_required: bool,
    /// Somebody only wants to know: nothing is kept.
    pub(crate) only_look: bool,
}

/// How far a connection to a next hop would be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// Clear text.
    Never,
    /// TLS where it is offered, with whoever answers.
    Opportunistic,
    /// TLS or no delivery, with whoever answers.
    Encrypted,
    /// TLS with the right host, or no delivery.
    Verified,
    /// TLS with the right host; else a warning in the log, and as [`Opportunistic`](Self::Opportunistic).
    Tested,
}

/// What one connection does about TLS.
pub(crate) struct Plan {
    /// For the handshake.
    pub(crate) tls: Tls,
    /// Who vouches for the host, where there is more to ask than the handshake can wait for.
    authorities: Option<Authorities>,
    /// The host is known to be the right one once all that went well.
    verifies: bool,
    /// What fails is told, and goes on without (RFC 8461 section 5, `testing`).
    pub(crate) only_tests: bool,
}

/// The MTA-STS policies that all routes share; `None` without a resolver.
pub(crate) fn policies(means: &Means) -> Option<Policies> {
    let resolver = Arc::clone(means.resolver.as_ref()?);
    Some(Policies::new(resolver, means.fetcher.clone(), means.policy_folder.clone(), means.policy_port))
}

impl RouteTls {
    /// Reads the files that the route names.
    pub(crate) fn of_route(
        route: &RouteSettings,
        means: &Means,
        policies: Option<Policies>,
    ) -> Result<Self, DeliveryError> {
        let vouched = matches!(route.tls, TlsMode::Verify | TlsMode::MtaSts);
        if let (Some(ca), false) = (&route.ca, vouched) {
            return Err(DeliveryError::UnusedCa { key: "ca", span: ca.span() });
        }
        if let (Some(trust), false) = (&route.trust, vouched) {
            return Err(DeliveryError::UnusedCa { key: "trust", span: trust.span() });
        }
        if let (Some(_), Some(trust)) = (&route.ca, &route.trust) {
            return Err(DeliveryError::CaAndTrust(trust.span()));
        }
        let maker = match &route.client_certificate {
            Some(own) if route.tls == TlsMode::None => return Err(DeliveryError::UnusedCertificate(own.span())),
            Some(own) => {
                let unusable = |error| DeliveryError::ClientCertificate { error, span: own.span() };
                let loaded = OwnCertificate::load(&own.get_ref().certificate, &own.get_ref().key);
                let maker = Maker { provider: Arc::clone(&means.provider), own: Some(loaded.map_err(unusable)?) };
                // Certificate and key are held against each other now and not at the first delivery.
                maker.connector(Anybody).map_err(unusable)?;
                maker
            }
            None => Maker { provider: Arc::clone(&means.provider), own: None },
        };
        let mode = match route.tls {
            TlsMode::None => Mode::None,
            TlsMode::May => Mode::May,
            TlsMode::Require => Mode::Require,
            TlsMode::Verify => Mode::Verify(Authorities::of_route(route, means)?),
            TlsMode::Dane => {
                let resolver = means.resolver.as_ref().filter(|_| means.dnssec);
                let without = || DeliveryError::DaneWithoutDnssec(route.domains.span());
                Mode::Dane(Arc::clone(resolver.ok_or_else(without)?))
            }
            TlsMode::MtaSts => {
                let authorities = Authorities::of_route(route, means)?;
                Mode::MtaSts(authorities, policies.ok_or_else(|| DeliveryError::NoResolver(route.domains.span()))?)
            }
        };
        Ok(Self { mode, maker })
    }

    /// As the route has it.
    pub(crate) fn mode(&self) -> TlsMode {
        match self.mode {
            Mode::None => TlsMode::None,
            Mode::May => TlsMode::May,
            Mode::Require => TlsMode::Require,
            Mode::Verify(_) => TlsMode::Verify,
            Mode::Dane(_) => TlsMode::Dane,
            Mode::MtaSts(..) => TlsMode::MtaSts,
        }
    }

    /// Whether it depends on the recipient's domain.
    pub(crate) fn is_by_domain(&self) -> bool {
        matches!(self.mode, Mode::MtaSts(..))
    }

    /// Whether the recipient's side says what is needed, and the sender may do without (RFC 8689 section 3).
    pub(crate) fn is_of_recipients(&self) -> bool {
        matches!(self.mode, Mode::MtaSts(..) | Mode::Dane(_))
    }

    /// For one connection. What it is counted under comes along, where it is by what the recipient's side publishes.
    pub(crate) async fn plan(&self, host: &Host, via: Via<'_>) -> (Result<Plan, Cause>, Option<Applied>) {
        if via.tls_not_required && self.is_of_recipients() {
            return (self.opportunistic(), None);
        }
        let plan = match &self.mode {
            Mode::None => Ok(Plan { tls: Tls::Never, authorities: None, verifies: false, only_tests: false }),
            Mode::May => self.opportunistic(),
            Mode::Require => self.encrypted(),
            // RFC 8689 section 4.2.1: a host that anybody could have named may be another one than is meant.
            Mode::Verify(authorities) => self.vouched(authorities).map(|plan| Plan { verifies: via.secure, ..plan }),
            Mode::Dane(resolver) => return self.by_records(resolver, host, via).await,
            Mode::MtaSts(authorities, policies) => {
                return self.by_policy(authorities, policies, host, via).await;
            }
        };
        (plan, None)
    }

    /// For somebody who goes on where the plan `only_tests`.
    pub(crate) fn opportunistic(&self) -> Result<Plan, Cause> {
        let tls = Tls::May(self.maker.ready(Anybody)?);
        Ok(Plan { tls, authorities: None, verifies: false, only_tests: false })
    }

    fn encrypted(&self) -> Result<Plan, Cause> {
        self.must(Anybody)
    }

    fn must(&self, judge: impl Judge + 'static) -> Result<Plan, Cause> {
        let tls = Tls::Must(self.maker.ready(judge)?);
        Ok(Plan { tls, authorities: None, verifies: false, only_tests: false })
    }

    fn vouched(&self, authorities: &Authorities) -> Result<Plan, Cause> {
        let plan = self.must(authorities.clone())?;
        Ok(Plan { authorities: Some(authorities.clone()), verifies: true, ..plan })
    }

    /// RFC 7672 section 2.2.
    async fn by_records(
        &self,
        resolver: &Resolver,
        host: &Host,
        via: Via<'_>,
    ) -> (Result<Plan, Cause>, Option<Applied>) {
        // Section 2.2.1: by a name that is not signed, whoever can name the host could as well be it.
        let found = match via.secure {
            true => dane::records(resolver, host, via.domain).await,
            false => Ok(dane::Found::nothing()),
        };
        let found = match found {
            Ok(found) => found,
            Err(cause) => return (Err(cause), Some(Applied::by_records(via.domain.unwrap_or_default(), Vec::new()))),
        };
        let applied = match found.base {
            Some(base) => Applied::by_records(&base, found.shown),
            None => Applied::nothing(via.domain.unwrap_or_default()),
        };
        match found.records {
            dane::Records::Nothing => (self.opportunistic(), Some(applied)),
            dane::Records::Unusable => {
                (self.encrypted(), Some(Applied { shortcoming: Some(TlsFailure::TlsaInvalid), ..applied }))
            }
            dane::Records::Usable(associations) => {
                (self.must(associations).map(|plan| Plan { verifies: true, ..plan }), Some(applied))
            }
        }
    }

    /// RFC 8461 section 5.
    async fn by_policy(
        &self,
        authorities: &Authorities,
        policies: &Policies,
        host: &Host,
        via: Via<'_>,
    ) -> (Result<Plan, Cause>, Option<Applied>) {
        let Some(domain) = via.domain else { return (self.opportunistic(), None) };
        let Found { policy, failure } =
            if via.only_look { policies.look(domain).await } else { policies.of(domain).await };
        let applied = Applied::by_policy(domain, policy.as_ref(), failure);
        let Some(policy) = policy else { return (self.opportunistic(), Some(applied)) };
        let listed = policy.lists(&host.address());
        let plan = match policy.mode {
            PolicyMode::None => self.opportunistic(),
            PolicyMode::Enforce if listed => self.vouched(authorities),
            PolicyMode::Enforce => {
                let text = format!("the MTA-STS policy of {domain} does not list it");
                Err(Cause { unreachable: true, ..Cause::tls(Some(host), TlsFailure::ValidationFailure, text) })
            }
            PolicyMode::Testing if listed => self.vouched(authorities).map(|plan| Plan { only_tests: true, ..plan }),
            PolicyMode::Testing => {
                tracing::warn!(%host, domain, "the MTA-STS policy (testing) does not list the host");
                let applied = Applied { shortcoming: Some(TlsFailure::ValidationFailure), ..applied };
                return (self.opportunistic(), Some(applied));
            }
        };
        (plan, Some(applied))
    }
}

impl Applied {
    /// RFC 8460 section 4.4: `policy-type`.
    fn of(policy_type: PolicyType, domain: &str, policy_string: Vec<String>) -> Self {
        let policy_domain = domain.to_owned();
        let policy = AppliedPolicy { policy_type, policy_string, policy_domain, mx_host: Vec::new() };
        Self { policy, shortcoming: None }
    }

    fn nothing(domain: &str) -> Self {
        Self::of(PolicyType::NoPolicyFound, domain, Vec::new())
    }

    fn by_records(base: &str, records: Vec<String>) -> Self {
        Self::of(PolicyType::Tlsa, base, records)
    }

    fn by_policy(domain: &str, policy: Option<&Policy>, shortcoming: Option<TlsFailure>) -> Self {
        let applied = match policy {
            // RFC 8461 section 5: as if it had none.
            Some(policy) if policy.mode == PolicyMode::None => Self::nothing(domain),
            Some(policy) => {
                let lines = policy.to_text().lines().map(str::to_owned).collect();
                let applied = Self::of(PolicyType::Sts, domain, lines);
                Self { policy: AppliedPolicy { mx_host: policy.mx.clone(), ..applied.policy }, ..applied }
            }
            // There is one, and nobody knows it.
            None if shortcoming.is_some() => Self::of(PolicyType::Sts, domain, Vec::new()),
            None => Self::nothing(domain),
        };
        Self { shortcoming, ..applied }
    }
}

impl Plan {
    /// Whether a connection that is there already is as good as one made by this plan.
    pub(crate) fn is_met_by(&self, connection: &Connection) -> bool {
        match &self.tls {
            Tls::Never | Tls::May(_) => true,
            Tls::Must(_) => !connection.certificates.is_empty() && (connection.verified || !self.verifies),
        }
    }

    pub(crate) fn protection(&self) -> Protection {
        match self.tls {
            Tls::Never => Protection::Never,
            Tls::May(_) => Protection::Opportunistic,
            Tls::Must(_) if self.only_tests => Protection::Tested,
            Tls::Must(_) if self.verifies || self.authorities.is_some() => Protection::Verified,
            Tls::Must(_) => Protection::Encrypted,
        }
    }

    /// The rest of the judgement, when the handshake is done and before anything is sent.
    pub(crate) async fn check(&self, host: &Host, connection: &mut Connection) -> Result<(), Cause> {
        if let Some(authorities) = &self.authorities {
            authorities.check(host, &connection.certificates).await?;
        }
        connection.verified = self.verifies;
        Ok(())
    }
}

/// Makes connectors: what they verify differs, what they show does not.
#[derive(Debug)]
struct Maker {
    provider: Arc<CryptoProvider>,
    own: Option<OwnCertificate>,
}

impl Maker {
    fn connector(&self, judge: impl Judge + 'static) -> Result<TlsConnector, client::SetupError> {
        connector(Arc::new(Shown(judge)), self.own.as_ref(), &self.provider)
    }

    /// What worked when the configuration was read works.
    fn ready(&self, judge: impl Judge + 'static) -> Result<TlsConnector, Cause> {
        let failed = |error: client::SetupError| Cause::tls(None, TlsFailure::ValidationFailure, error.to_string());
        self.connector(judge).map_err(failed)
    }
}
