//! Whole sessions with a client certificate, against bare TLS handshakes. What counts is how many the server gets done
//! with a second of CPU time: clients run on the same cores, and are no part of it.

use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use demo::pki::{ALICE, BOB};
use demo::{Client, ClientTls, Security, Transport};

use crate::Failure;
use crate::bare_tls::BareTls;
use crate::gateway::Gateway;
use crate::process::Process;
use crate::stage::{Stage, free_address};
use crate::statistics::{median, rate};
use crate::table::{self, Mark};

const ROUNDS: usize = 5;
/// Enough to keep the server busy.
const CLIENTS: usize = 16;
const WARM_UP: Duration = Duration::from_millis(500);
const MARK: Mark = Mark::AtLeast(0.7);

/// The certificates: who, and what to call the kind of key.
const CARDS: [(&str, &str, &str); 2] = [(ALICE.name, ALICE.email, "ECDSA P-256"), (BOB.name, BOB.email, "RSA 2048")];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bare,
    Implicit,
    Starttls,
}

const KINDS: [Kind; 3] = [Kind::Bare, Kind::Implicit, Kind::Starttls];

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare TLS",
            Self::Implicit => "implicit TLS",
            Self::Starttls => "STARTTLS",
        }
    }
}

/// What one round came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    /// Sessions per second of time.
    pub(crate) speed: f64,
    /// Sessions per second of the server's CPU time.
    pub(crate) thrift: f64,
}

/// Measures and prints.
pub(crate) async fn measure(stage: &Stage, length: Duration) -> Result<(), Failure> {
    let floor = BareTls::start(stage)?;
    let gateway = Gateway::start(stage, "sessions", free_address()?).await?;
    for (name, address, key) in CARDS {
        let tls = stage.client(name)?;
        prove_identity(gateway.implicit, &tls, address).await?;
        let mut rounds = Vec::new();
        for round in 0..=ROUNDS {
            let length = if round == 0 { WARM_UP } else { length };
            let mut results = Vec::new();
            for kind in KINDS {
                results.push(self::round(kind, &floor, &gateway, &tls, length).await?);
            }
            // The first one warms up.
            if round > 0 {
                rounds.push(results);
            }
        }
        show(key, &rounds);
    }
    Ok(())
}

/// A session that nobody would let send would be a cheap one.
pub(crate) async fn prove_identity(address: SocketAddr, tls: &ClientTls, sender: &str) -> Result<(), Failure> {
    let mut client = Client::connect(address, Security::Implicit(tls)).await?;
    client.ehlo().await?;
    let reply = client.mail(sender).await?;
    match reply.is_positive() {
        true => Ok(()),
        false => Err(format!("the gateway does not know {sender} by certificate: {reply}").into()),
    }
}

async fn round(
    kind: Kind,
    floor: &BareTls,
    gateway: &Gateway,
    tls: &ClientTls,
    length: Duration,
) -> Result<Round, Failure> {
    let (process, address) = match kind {
        Kind::Bare => (&floor.process, floor.address),
        Kind::Implicit => (&gateway.process, gateway.implicit),
        Kind::Starttls => (&gateway.process, gateway.starttls),
    };
    let tls = tls.clone();
    let session = move || {
        let tls = tls.clone();
        async move {
            match kind {
                Kind::Bare => handshake(address, &tls).await,
                Kind::Implicit => conversation(address, Security::Implicit(&tls)).await,
                Kind::Starttls => conversation(address, Security::StartTls(&tls)).await,
            }
        }
    };
    run(process, session, length).await
}

/// Keeps all clients busy for so long; what was begun is finished, and counts.
pub(crate) async fn run<F>(
    process: &Process,
    session: impl Fn() -> F + Clone + Send + 'static,
    length: Duration,
) -> Result<Round, Failure>
where
    F: Future<Output = Result<(), Failure>> + Send,
{
    let (began, cpu_before) = (Instant::now(), process.cpu_time()?);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let session = session.clone();
            tokio::spawn(async move {
                let mut done = 0;
                while began.elapsed() < length {
                    session().await?;
                    done += 1;
                }
                Ok::<u64, Failure>(done)
            })
        })
        .collect();
    let mut done = 0;
    for client in clients {
        done += client.await??;
    }
    let (time, cpu) = (began.elapsed(), process.cpu_time()?.saturating_sub(cpu_before));
    Ok(Round { speed: rate(done, time), thrift: rate(done, cpu) })
}

/// Waits for the server's goodbye, which shows that the server finished the handshake too.
async fn handshake(address: SocketAddr, tls: &ClientTls) -> Result<(), Failure> {
    let mut transport = Transport::connect(address).await?;
    transport.handshake(tls).await?;
    transport.shut_down().await?;
    match transport.receive("goodbye", &mut Vec::new()).await {
        Err(demo::DemoError::Closed(_)) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(()) => Err("the bare TLS server said something".into()),
    }
}

/// Everything but a message.
pub(crate) async fn conversation(address: SocketAddr, security: Security<'_>) -> Result<(), Failure> {
    let mut client = Client::connect(address, security).await?;
    client.ehlo().await?;
    if let Security::StartTls(tls) = security {
        client.starttls(tls).await?;
        client.ehlo().await?;
    }
    client.quit().await?;
    match client.transcript().iter().find(|exchange| !exchange.reply.is_positive()) {
        None => Ok(()),
        Some(refused) => Err(format!("{} was answered {}", refused.sent, refused.reply).into()),
    }
}

fn show(key: &str, rounds: &[Vec<Round>]) {
    let column = |at: usize| rounds.iter().filter_map(move |round| round.get(at));
    let rows: Vec<Vec<String>> = KINDS
        .iter()
        .enumerate()
        .map(|(at, kind)| {
            let speed = median(column(at).map(|round| round.speed));
            let thrift = median(column(at).map(|round| round.thrift));
            // Each round against the floor of the same round.
            let ratio = median(column(at).zip(column(0)).map(|(round, floor)| round.thrift / floor.thrift));
            let (ratio, mark) = match kind {
                Kind::Bare => ("1".to_owned(), String::new()),
                Kind::Implicit | Kind::Starttls => (format!("{ratio:.2}"), MARK.judge(ratio)),
            };
            let cost = format!("{:.0} µs", 1e6 / thrift);
            vec![kind.name().to_owned(), format!("{speed:.0}"), format!("{thrift:.0}"), cost, ratio, mark]
        })
        .collect();
    table::print(
        &format!("Sessions with an {key} client certificate, medians of {ROUNDS} rounds"),
        &["", "per second", "per server CPU second", "server CPU each", "to bare TLS", "mark"],
        &rows,
    );
}
