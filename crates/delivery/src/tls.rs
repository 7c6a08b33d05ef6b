//! TLS towards the next hop: one client configuration per route, for its mode.

use std::sync::Arc;

use client::{Tls, authorities, connector_to_anybody, connector_to_verified};
use rustls::crypto::CryptoProvider;

use crate::error::DeliveryError;
use crate::settings::{RouteSettings, TlsMode};

/// What a connection of this route does about TLS.
pub(crate) fn of_route(route: &RouteSettings, provider: &Arc<CryptoProvider>) -> Result<Tls, DeliveryError> {
    if let (Some(ca), false) = (&route.ca, route.tls == TlsMode::Verify) {
        return Err(DeliveryError::UnusedCa(ca.span()));
    }
    Ok(match route.tls {
        TlsMode::None => Tls::Never,
        TlsMode::May => Tls::May(connector_to_anybody(provider)?),
        TlsMode::Require => Tls::Must(connector_to_anybody(provider)?),
        TlsMode::Verify => {
            let roots = match &route.ca {
                Some(ca) => {
                    authorities(Some(ca.get_ref())).map_err(|error| DeliveryError::Ca { error, span: ca.span() })?
                }
                None => authorities(None)?,
            };
            Tls::Must(connector_to_verified(roots, None, provider)?)
        }
    })
}
