//! What all themes share: a folder with a PKI and people, the gateway's process, its peers.

pub(crate) mod delivered;
pub(crate) mod dialogues;
pub(crate) mod dns;
pub(crate) mod gateway;
pub(crate) mod golden;
pub(crate) mod peers;
pub(crate) mod postfix;
#[path = "../beds/server.rs"]
pub(crate) mod server;
pub(crate) mod slapd;
pub(crate) mod world;

pub(crate) use delivered::Delivered;
pub(crate) use gateway::Gateway;
pub(crate) use world::World;

use std::time::Duration;

/// How long anything may take that should be quick, on a machine that is busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Asks until the answer is yes; the panic says what for.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}
