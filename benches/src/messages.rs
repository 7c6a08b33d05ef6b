//! Messages of 10 kB that the gateway answers with 250, which it does only when they are on disk, against a bare group
//! commit of the same octets on the same file system.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use demo::pki::ALICE;

use crate::Failure;
use crate::gateway::Gateway;
use crate::group_commit;
use crate::sink::Sink;
use crate::stage::{Stage, free_address};
use crate::statistics::{median, rate};
use crate::submitter::Submitter;
use crate::table;

const ROUNDS: usize = 5;
const CONNECTIONS: usize = 64;
const SIZE: usize = 10_000;

/// What one round came to.
#[derive(Debug, Clone, Copy)]
struct Round {
    /// Messages per second of time.
    speed: f64,
    /// The gateway's CPU time for each; none for the floor.
    cost: Option<Duration>,
}

/// What is measured: a listener of a gateway, and how to call it.
struct Subject<'g> {
    name: &'static str,
    gateway: &'g Gateway,
    address: SocketAddr,
}

/// Measures and prints.
pub(crate) async fn measure(stage: &Stage, length: Duration) -> Result<(), Failure> {
    let message = message(SIZE);
    let (unbound, author) = (free_address()?, free_address()?);
    let down = Gateway::start_with(stage, "down", free_address()?, &listeners(unbound, author)).await?;
    let mut subjects = vec![
        Subject { name: "next hop down", gateway: &down, address: down.implicit },
        Subject { name: "…, any sender", gateway: &down, address: unbound },
        Subject { name: "…, From judged", gateway: &down, address: author },
    ];
    let taking = match Sink::start().await? {
        Some(sink) => Some((Gateway::start(stage, "sink", sink.address).await?, sink)),
        None => {
            println!("smtp-sink is not here (Debian's postfix has it): only a next hop that is down is measured\n");
            None
        }
    };
    if let Some((gateway, _)) = &taking {
        subjects.push(Subject { name: "next hop takes all", gateway, address: gateway.implicit });
    }
    let floor = stage.dir().join("floor");
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let speed = group_commit::measure(&floor, CONNECTIONS, &message, length).await?;
        let mut results = vec![Round { speed, cost: None }];
        for subject in &subjects {
            results.push(round(stage, subject, &message, length).await?);
            // Deliveries under way would slow down whatever comes next.
            subject.gateway.process.settle().await?;
        }
        rounds.push(results);
    }
    let names: Vec<&str> = subjects.iter().map(|subject| subject.name).collect();
    show(&names, &rounds);
    Ok(())
}

/// Listeners beside those that every measurement has: one where the sender is free, and one where the header's From and
/// Sender are judged as well.
fn listeners(unbound: SocketAddr, author: SocketAddr) -> String {
    [("unbound", unbound, "sender = \"any\""), ("author", author, "from_header = \"own-address\"")]
        .map(|(name, address, binding)| {
            format!(
                r#"
[policy.{name}]
access = "relay"
tls = "required"
verify_client_certificate = true
smtp_auth = "required"
{binding}
max_messages_per_connection = 1000000000
max_connections_per_client = 1000000000

[[listener]]
name = "{name}"
bind = ["{address}"]
tls = "implicit"
authentication = "card"
default_policy = "{name}"
"#
            )
        })
        .concat()
}

async fn round(stage: &Stage, subject: &Subject<'_>, message: &[u8], length: Duration) -> Result<Round, Failure> {
    let tls = stage.client(ALICE.name)?;
    let mut submitters = Vec::new();
    for _ in 0..CONNECTIONS {
        submitters.push(Submitter::open(subject.address, &tls).await?);
    }
    let commands: Arc<[u8]> =
        format!("MAIL FROM:<{}>\r\nRCPT TO:<somebody@example.net>\r\nDATA\r\n", ALICE.email).into_bytes().into();
    let content: Arc<[u8]> = [message, b".\r\n"].concat().into();
    let (began, cpu_before) = (Instant::now(), subject.gateway.process.cpu_time()?);
    let submitting: Vec<_> = submitters
        .into_iter()
        .map(|mut submitter| {
            let (commands, content) = (Arc::clone(&commands), Arc::clone(&content));
            tokio::spawn(async move {
                let mut done = 0;
                while began.elapsed() < length {
                    submitter.submit(&commands, &content).await?;
                    done += 1;
                }
                Ok::<_, Failure>((done, submitter))
            })
        })
        .collect();
    let (mut done, mut submitters) = (0, Vec::new());
    for submitting in submitting {
        let (count, submitter) = submitting.await??;
        done += count;
        submitters.push(submitter);
    }
    let (time, cpu) = (began.elapsed(), subject.gateway.process.cpu_time()?.saturating_sub(cpu_before));
    for mut submitter in submitters {
        submitter.say(b"QUIT\r\n", &[221]).await?;
    }
    Ok(Round { speed: rate(done, time), cost: Some(Duration::from_secs_f64(1.0 / rate(done, cpu))) })
}

/// So many octets: a header and lines of text; no line begins with a dot, so that none needs stuffing, and none is longer
/// than RFC 5321 section 4.5.3.1.6 allows.
pub(crate) fn message(size: usize) -> Vec<u8> {
    const LINE: &str = "The quick brown fox jumps over the lazy dog, and does so again and again.\r\n";
    let mut text = format!("From: Alice <{}>\r\nTo: somebody@example.net\r\nSubject: measured\r\n\r\n", ALICE.email);
    while text.len() + LINE.len() <= size - 2 {
        text.push_str(LINE);
    }
    let rest = size.saturating_sub(2 + text.len());
    text.push_str(&"x".repeat(rest));
    text.push_str("\r\n");
    text.into_bytes()
}

fn show(gateways: &[&str], rounds: &[Vec<Round>]) {
    let column = |at: usize| rounds.iter().filter_map(move |round| round.get(at));
    let rows: Vec<Vec<String>> = ["bare group commit"]
        .iter()
        .chain(gateways)
        .enumerate()
        .map(|(at, name)| {
            let speed = median(column(at).map(|round| round.speed));
            let cost = median(column(at).filter_map(|round| round.cost).map(|cost| cost.as_secs_f64()));
            let cost = if cost.is_nan() { String::new() } else { format!("{:.0} µs", cost * 1e6) };
            // Each round against the floor of the same round.
            let ratio = median(column(at).zip(column(0)).map(|(round, floor)| round.speed / floor.speed));
            let ratio = if at == 0 { "1".to_owned() } else { format!("{ratio:.2}") };
            vec![(*name).to_owned(), format!("{speed:.0}"), cost, ratio]
        })
        .collect();
    table::print(
        &format!("Durable messages of {SIZE} octets over {CONNECTIONS} connections, medians of {ROUNDS} rounds"),
        &["", "per second", "server CPU each", "to group commit"],
        &rows,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_as_long_as_it_says() {
        let message = message(SIZE);
        assert_eq!(message.len(), SIZE);
        assert!(message.ends_with(b"\r\n"));
        assert!(!message.windows(3).any(|octets| octets == b"\r\n."));
    }
}
