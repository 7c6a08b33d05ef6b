//! Keeps a fresh OCSP answer about the server's own certificate at hand for handshakes.

use std::time::Duration;

use pki::{NoStaple, OcspStore, Time, staple};
use session::ServerKey;

/// How often it is seen whether there is another certificate.
const LOOK: Duration = Duration::from_secs(2);
/// After a responder gave no answer.
const AGAIN: Duration = Duration::from_secs(300);

/// Asks whenever it is time, for as long as it is polled.
pub(crate) async fn run(key: &ServerKey, store: Option<&OcspStore>) {
    let Some(store) = store else { return };
    let mut told = None;
    let mut until = Time::NEVER;
    loop {
        let chain = key.chain();
        let next = match staple(store, &chain).await {
            Ok(answer) => {
                tracing::debug!(until = %answer.until, "the server's certificate is stapled");
                told = None;
                until = answer.until;
                key.staple(&chain, Some(answer.der));
                answer.refresh_at
            }
            Err(NoStaple::NotOffered) => Time::NEVER,
            Err(error) => {
                // Once for each reason, not at every attempt.
                if told.as_ref() != Some(&error) {
                    tracing::warn!(%error, "no OCSP answer about the server's certificate");
                }
                if matches!(error, NoStaple::Revoked { .. }) {
                    key.staple(&chain, None);
                }
                told = Some(error);
                Time::now().plus(AGAIN)
            }
        };
        while Time::now() < next && key.chain() == chain {
            tokio::time::sleep(LOOK).await;
            if Time::now() >= until {
                // Clients take an old answer for worse than none.
                key.staple(&chain, None);
                until = Time::NEVER;
            }
        }
    }
}
