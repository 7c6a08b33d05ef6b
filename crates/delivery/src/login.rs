//! AUTH towards a next hop (RFC 4954): who the gateway is there, and with what it proves that.

use std::path::PathBuf;
use std::time::Duration;

use client::{Answer, Cause, Connection, Host, MAX_PASSWORD, MAX_USER, Mechanism, Verdict, authenticate, status_of};
use protocol::EnhancedCode;
use zeroize::Zeroizing;

use crate::error::DeliveryError;
use crate::settings::{Hosts, RouteSettings, TlsMode};

/// RFC 4954 section 6, as a temporary failure: what is wrong is a setting, and not the message.
const NOT_TAKEN: EnhancedCode = EnhancedCode(4, 7, 8);
const NOT_KNOWN: EnhancedCode = EnhancedCode(4, 7, 5);
const NO_MECHANISM: EnhancedCode = EnhancedCode(4, 7, 4);

/// Who the gateway is at a route's hosts.
pub(crate) struct Login {
    mechanisms: Vec<Mechanism>,
    username: String,
    password: Zeroizing<Vec<u8>>,
    /// Where the password is from, for who has to mend it.
    file: Option<PathBuf>,
    to_anybody: bool,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

impl Login {
    /// What the route says of it, if anything.
    pub(crate) fn of(route: &RouteSettings) -> Result<Option<Self>, DeliveryError> {
        let Some(auth) = &route.auth else { return Ok(None) };
        let wrong = |why: String| DeliveryError::Auth { why, span: auth.span() };
        let auth = auth.get_ref();
        let mechanisms = match (&auth.mechanisms, &auth.password_file) {
            (Some(mechanisms), _) if mechanisms.is_empty() => return Err(wrong("no mechanism is left".to_owned())),
            (Some(mechanisms), _) => mechanisms.clone(),
            (None, Some(_)) => Mechanism::ALL.into_iter().filter(|known| *known != Mechanism::External).collect(),
            (None, None) => vec![Mechanism::External],
        };
        let proves_password = mechanisms.iter().any(|mechanism| *mechanism != Mechanism::External);
        let username = auth.username.clone().unwrap_or_default();
        let password = match &auth.password_file {
            Some(_) if !proves_password => return Err(wrong("EXTERNAL has no password_file".to_owned())),
            Some(_) if username.is_empty() => return Err(wrong("password_file needs a username".to_owned())),
            Some(file) => secret::read(file).map_err(wrong)?,
            None if proves_password => {
                return Err(wrong("all but EXTERNAL need username and password_file".to_owned()));
            }
            None => Zeroizing::default(),
        };
        if username.len() > MAX_USER || password.len() > MAX_PASSWORD || username.contains('\0') {
            return Err(wrong(format!("username has {MAX_USER} octets at most, the password {MAX_PASSWORD}")));
        }
        // A certificate for a name that the DNS made up proves nothing.
        if proves_password && matches!(route.hosts.get_ref(), Hosts::Mx { .. }) && !auth.to_anybody {
            return Err(wrong(
                "the password would go to whom the DNS names: name the hosts, or say to_anybody = true".to_owned(),
            ));
        }
        let here = route.hosts.get_ref().are_loopback();
        // By DANE and MTA-STS a host is known only where somebody published it.
        let unknown = route.tls != TlsMode::Verify;
        if proves_password && unknown && !here && !auth.to_anybody {
            return Err(wrong(
                "the password would go to whoever answers: use tls = \"verify\", or say to_anybody = true".to_owned(),
            ));
        }
        Ok(Some(Self { mechanisms, username, password, file: auth.password_file.clone(), to_anybody: auth.to_anybody }))
    }

    /// Logs in on a connection that was just made. What goes wrong is about the host: another try may do, and nothing of
    /// it is the message's fault.
    pub(crate) async fn run(&self, connection: &mut Connection, host: &Host, limit: Duration) -> Result<(), Cause> {
        let refused = |status, text: String| Cause { unreachable: true, ..Cause::local(Some(host), status, text) };
        let extensions = &connection.extensions;
        let Some(mechanism) = Mechanism::first_of(&self.mechanisms, extensions) else {
            let names = |mechanisms: &[Mechanism]| mechanisms.iter().map(|known| known.name()).collect::<Vec<_>>();
            let (wanted, offered) = (names(&self.mechanisms).join(" "), extensions.auth.join(" "));
            tracing::error!(%host, wanted, offered, mend = "see `auth` of the route: mechanisms", "the next hop offers no mechanism that may be used");
            return Err(refused(NO_MECHANISM, format!("of the mechanisms {wanted} it offers none, but {offered:?}")));
        };
        if mechanism != Mechanism::External && !(connection.verified || host.is_loopback() || self.to_anybody) {
            return Err(refused(NOT_KNOWN, "no password is sent to a host that is not verified".to_owned()));
        }
        let answer = authenticate(connection, mechanism, &self.username, &self.password, limit).await;
        let Answer { verdict, reply, .. } =
            answer.map_err(|error| refused(status_of(&error), format!("{error} (AUTH {mechanism})")))?;
        if verdict == Verdict::Right {
            return Ok(());
        }
        let file = self.file.as_ref().map(|file| file.display().to_string());
        let (username, mend) = match (&file, mechanism) {
            (_, Mechanism::External) => (self.username.as_str(), "does the next hop know the route's certificate?"),
            _ => (self.username.as_str(), "see username and password_file of the route's `auth`"),
        };
        tracing::error!(%host, %mechanism, username, password_file = file, %reply, mend, "the next hop does not let the gateway in");
        Err(refused(NOT_TAKEN, format!("{reply} (in reply to AUTH {mechanism} as {:?})", self.username)))
    }
}
