//! TLS towards the next hop: what a route's mode comes to for each connection.

mod trusted;
mod shown;
mod names;

use std::sync::Arc;

use client::{Cause, Connection, Host, OwnCertificate, Tls, connector};
use rustls::crypto::CryptoProvider;
use tokio_rustls::TlsConnector;

use crate::error::DeliveryError;
use crate::means::Means;
use crate::settings::{RouteSettings, TlsMode};
use crate::tls::shown::{Anybody, Judge, Shown};
use crate::tls::trusted::Authorities;

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
}

/// What one connection does about TLS.
pub(crate) struct Plan {
    /// For the handshake.
    pub(crate) tls: Tls,
    /// Who vouches for the host, where there is more to ask than the handshake can wait for.
    authorities: Option<Authorities>,
    /// The host is known to be the right one once all that went well.
    verifies: bool,
}

impl RouteTls {
    /// Reads the files that the route names.
    pub(crate) fn of_route(route: &RouteSettings, means: &Means) -> Result<Self, DeliveryError> {
        let vouched = route.tls == TlsMode::Verify;
        if let (Some(ca), false) = (&route.ca, vouched) {
            return Err(DeliveryError::UnusedCa { key: "ca", span: ca.span() });
        }
        if let (Some(trust), false) = (&route.trust, vouched) {
            return Err(DeliveryError::UnusedCa { key: "trust", span: trust.span() });
        }
        if let (Some(_), Some(trust)) = (&route.ca, &route.trust) {
            return Err(DeliveryError::CaAndTrust(trust.span()));
        }
        let own = match &route.client_certificate {
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
        };
        Ok(Self { mode, maker: own })
    }

    /// For one connection.
    pub(crate) fn plan(&self) -> Result<Plan, Cause> {
        let plan = |tls, verifies| Plan { tls, authorities: None, verifies };
        Ok(match &self.mode {
            Mode::None => plan(Tls::Never, false),
            Mode::May => plan(Tls::May(self.maker.ready(Anybody)?), false),
            Mode::Require => plan(Tls::Must(self.maker.ready(Anybody)?), false),
            Mode::Verify(authorities) => Plan {
                tls: Tls::Must(self.maker.ready(authorities.clone())?),
                authorities: Some(authorities.clone()),
                verifies: true,
            },
        })
    }
}

impl Plan {
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
        let failed =
            |error: client::SetupError| Cause::tls(None, client::TlsFailure::ValidationFailure, error.to_string());
        self.connector(judge).map_err(failed)
    }
}
