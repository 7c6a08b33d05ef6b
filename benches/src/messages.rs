//! Messages of 10 kB that the gateway answers with 250, which it does only when they are on disk, against a bare group
//! commit of the same octets on the same file system.

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

/// Measures and prints.
pub(crate) async fn measure(stage: &Stage, length: Duration) -> Result<(), Failure> {
    let message = message(SIZE);
    let mut gateways = vec![("next hop down", Gateway::start(stage, "down", free_address()?).await?)];
    let sink = match Sink::start().await? {
        Some(sink) => {
            gateways.push(("next hop takes all", Gateway::start(stage, "sink", sink.address).await?));
            Some(sink)
        }
        None => {
            println!("smtp-sink is not here (Debian's postfix has it): only a next hop that is down is measured\n");
            None
        }
    };
    let floor = stage.dir().join("floor");
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let speed = group_commit::measure(&floor, CONNECTIONS, &message, length).await?;
        let mut results = vec![Round { speed, cost: None }];
        for (_, gateway) in &gateways {
            results.push(round(stage, gateway, &message, length).await?);
            // Deliveries under way would slow down whatever comes next.
            gateway.process.settle().await?;
        }
        rounds.push(results);
    }
    drop(sink);
    let names: Vec<&str> = gateways.iter().map(|(name, _)| *name).collect();
    show(&names, &rounds);
    Ok(())
}

async fn round(stage: &Stage, gateway: &Gateway, message: &[u8], length: Duration) -> Result<Round, Failure> {
    let tls = stage.client(ALICE.name)?;
    let mut submitters = Vec::new();
    for _ in 0..CONNECTIONS {
        submitters.push(Submitter::open(gateway.implicit, &tls).await?);
    }
    let commands: Arc<[u8]> =
        format!("MAIL FROM:<{}>\r\nRCPT TO:<somebody@example.net>\r\nDATA\r\n", ALICE.email).into_bytes().into();
    let content: Arc<[u8]> = [message, b".\r\n"].concat().into();
    let (began, cpu_before) = (Instant::now(), gateway.process.cpu_time()?);
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
    let (time, cpu) = (began.elapsed(), gateway.process.cpu_time()?.saturating_sub(cpu_before));
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
