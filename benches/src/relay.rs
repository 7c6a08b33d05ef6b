//! Whole relaying, from a client with a certificate to the next hop, by the gateway and by Postfix: the same messages, the
//! same clients, the same disk, the same smtp-sink, in rounds that take turns. What counts is the CPU time of each server
//! for a message that was accepted *and* delivered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use demo::ClientTls;
use demo::pki::ALICE;

use crate::Failure;
use crate::gateway::Gateway;
use crate::messages;
use crate::postfix::Postfix;
use crate::process::Process;
use crate::sink::Sink;
use crate::stage::Stage;
use crate::statistics::{median, rate};
use crate::submitter::Submitter;
use crate::table::{self, Mark};

const ROUNDS: usize = 3;
/// Postfix's CPU time for a message, in the gateway's: for messages of everyday size that are queued.
const MARK: Mark = Mark::AtLeast(6.0);

/// What the clients do in one round: so many sessions in all, so many at a time, so many messages in each.
#[derive(Debug, Clone, Copy)]
struct Load {
    name: &'static str,
    size: usize,
    sessions: u64,
    clients: u64,
    messages: u64,
}

const LOADS: [Load; 3] = [
    Load { name: "10 kB, a session each", size: 10_000, sessions: 480, clients: 16, messages: 1 },
    Load { name: "10 kB, 100 a session", size: 10_000, sessions: 16, clients: 16, messages: 100 },
    Load { name: "25 MB, a session each", size: 25_000_000, sessions: 8, clients: 4, messages: 1 },
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Accepted when it is on disk here, delivered later.
    Queued,
    /// Accepted when the next hop has it.
    Inline,
}

/// A server that is measured.
struct Server {
    name: &'static str,
    address: SocketAddr,
    running: Running,
}

enum Running {
    Gateway(Gateway),
    Postfix(Postfix),
}

/// What one round came to.
#[derive(Debug, Clone, Copy)]
struct Round {
    /// Messages that were answered 250, and that the next hop had, per second.
    accepted: f64,
    delivered: f64,
    /// The server's CPU time for each.
    cost: f64,
    /// Memory at the most, kB of 1024 octets.
    peak: u64,
}

/// Measures and prints.
pub(crate) async fn measure(stage: &Stage) -> Result<(), Failure> {
    for mode in [Mode::Queued, Mode::Inline] {
        let sink = Sink::start().await?.ok_or("smtp-sink is not here: Debian's postfix has it")?;
        let servers = [gateway(stage, mode, &sink).await?, postfix(stage, mode, &sink).await?];
        let tls = stage.client(ALICE.name)?;
        for load in LOADS {
            let content: Arc<[u8]> = [&messages::message(load.size), &b".\r\n"[..]].concat().into();
            let mut rounds = Vec::new();
            // The first one warms up.
            for warm in 0..=ROUNDS {
                let mut results = Vec::new();
                for server in &servers {
                    results.push(round(server, &sink, &tls, load, &content).await?);
                }
                if warm > 0 {
                    rounds.push(results);
                }
            }
            show(mode, load, &servers, &rounds);
        }
    }
    Ok(())
}

async fn gateway(stage: &Stage, mode: Mode, sink: &Sink) -> Result<Server, Failure> {
    let (name, settings) = match mode {
        Mode::Queued => ("relay-queued", ""),
        Mode::Inline => ("relay-inline", "\n[relay]\nmode = \"inline\"\n"),
    };
    let gateway = Gateway::start_with(stage, name, sink.address, settings).await?;
    Ok(Server { name: "the gateway", address: gateway.implicit, running: Running::Gateway(gateway) })
}

async fn postfix(stage: &Stage, mode: Mode, sink: &Sink) -> Result<Server, Failure> {
    let (folder, name) = match mode {
        Mode::Queued => ("postfix-queued", "Postfix"),
        Mode::Inline => ("postfix-inline", "Postfix, smtpd_proxy_filter"),
    };
    let postfix = Postfix::start(stage, folder, sink.address, mode == Mode::Inline).await?;
    Ok(Server { name, address: postfix.address, running: Running::Postfix(postfix) })
}

impl Server {
    fn process(&self) -> &Process {
        match &self.running {
            Running::Gateway(gateway) => &gateway.process,
            Running::Postfix(postfix) => &postfix.process,
        }
    }

    /// Looks at memory until it is told to stop. The kernel keeps the peak of one process, not that of a family.
    async fn watch(&self, peak: &mut u64) -> Result<(), Failure> {
        const LOOK: Duration = Duration::from_millis(100);
        loop {
            let now = match &self.running {
                Running::Gateway(gateway) => gateway.process.peak_memory()?,
                Running::Postfix(postfix) => postfix.process.family_memory()?,
            };
            *peak = now.max(*peak);
            tokio::time::sleep(LOOK).await;
        }
    }
}

async fn round(
    server: &Server,
    sink: &Sink,
    tls: &ClientTls,
    load: Load,
    content: &Arc<[u8]>,
) -> Result<Round, Failure> {
    let (count, taken, mut peak) = (load.sessions * load.messages, sink.taken(), 0);
    if let Running::Gateway(gateway) = &server.running {
        gateway.process.forget_peak()?;
    }
    let (began, cpu_before) = (Instant::now(), server.process().family_cpu_time()?);
    let relaying = async {
        submit_all(server.address, tls, load, content).await?;
        let accepted = began.elapsed();
        sink.wait_for(taken + count).await?;
        Ok::<_, Failure>((accepted, began.elapsed()))
    };
    let (accepted, delivered) = tokio::select! {
        times = relaying => times?,
        failed = server.watch(&mut peak) => return Err(failed.err().unwrap_or_else(|| "the watch ended".into())),
    };
    if let Running::Gateway(gateway) = &server.running {
        peak = gateway.process.peak_memory()?;
    }
    // What follows a delivery is work for it as well.
    server.process().settle().await?;
    let cpu = server.process().family_cpu_time()?.saturating_sub(cpu_before);
    Ok(Round { accepted: rate(count, accepted), delivered: rate(count, delivered), cost: 1.0 / rate(count, cpu), peak })
}

async fn submit_all(address: SocketAddr, tls: &ClientTls, load: Load, content: &Arc<[u8]>) -> Result<(), Failure> {
    let commands = format!("MAIL FROM:<{}>\r\nRCPT TO:<somebody@example.net>\r\nDATA\r\n", ALICE.email);
    let commands: Arc<[u8]> = commands.into_bytes().into();
    let clients: Vec<_> = (0..load.clients)
        .map(|_| {
            let (tls, commands, content) = (tls.clone(), Arc::clone(&commands), Arc::clone(content));
            tokio::spawn(async move {
                for _ in 0..load.sessions / load.clients {
                    let mut submitter = Submitter::open(address, &tls).await?;
                    for _ in 0..load.messages {
                        submitter.submit(&commands, &content).await?;
                    }
                    submitter.say(b"QUIT\r\n", &[221]).await?;
                }
                Ok::<_, Failure>(())
            })
        })
        .collect();
    for client in clients {
        client.await??;
    }
    Ok(())
}

fn show(mode: Mode, load: Load, servers: &[Server], rounds: &[Vec<Round>]) {
    let column = |at: usize| rounds.iter().filter_map(move |round| round.get(at));
    // The mark: 64 MB, and 64 kB for each connection.
    let most = Mark::AtMost(64.0 + load.clients as f64 * 64.0 / 1024.0);
    let rows: Vec<Vec<String>> = servers
        .iter()
        .enumerate()
        .map(|(at, server)| {
            let cost = median(column(at).map(|round| round.cost));
            // Each round against that of Postfix beside it.
            let ratio = median(column(at).zip(column(1)).map(|(round, postfix)| postfix.cost / round.cost));
            let peak = column(at).map(|round| round.peak).max().unwrap_or(0) as f64 / 1024.0;
            let judged = |mark: Mark, value| if at == 0 { mark.judge(value) } else { String::new() };
            let marked = mode == Mode::Queued && load.size < 1_000_000;
            let thrift = if marked { judged(MARK, ratio) } else { String::new() };
            vec![
                server.name.to_owned(),
                format!("{:.0}", median(column(at).map(|round| round.accepted))),
                format!("{:.0}", median(column(at).map(|round| round.delivered))),
                format!("{:.2} ms", cost * 1e3),
                format!("{ratio:.1}"),
                thrift,
                format!("{peak:.0} MB"),
                judged(most, peak),
            ]
        })
        .collect();
    table::print(
        &format!("{}, {mode:?}, {} clients, medians of {ROUNDS} rounds", load.name, load.clients),
        &["", "accepted/s", "delivered/s", "server CPU each", "Postfix's", "mark", "memory at most", "mark"],
        &rows,
    );
}
