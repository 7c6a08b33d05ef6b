//! Memory of connections that have shown their certificate, said EHLO and now wait.

use demo::pki::ALICE;
use demo::{Client, ClientTls, Security};

use crate::Failure;
use crate::gateway::Gateway;
use crate::process::open_files_limit;
use crate::stage::{Stage, free_address};
use crate::table::{self, Mark};

const CONNECTIONS: u64 = 2000;
/// Files that this process and the gateway have open besides.
const OTHER_FILES: u64 = 100;
/// Sessions that come and go first, so that what is allocated once is.
const WARM_UP: usize = 20;
const MARK: Mark = Mark::AtMost(40.0);

/// Measures and prints.
pub(crate) async fn measure(stage: &Stage) -> Result<(), Failure> {
    let connections = CONNECTIONS.min(open_files_limit()?.saturating_sub(OTHER_FILES)).max(1);
    let tls = stage.client(ALICE.name)?;
    let mut rows = Vec::new();
    for (name, starttls) in [("implicit TLS", false), ("STARTTLS", true)] {
        let gateway = Gateway::start(stage, &format!("idle-{starttls}"), free_address()?).await?;
        for _ in 0..WARM_UP {
            wait_in(&gateway, &tls, starttls).await?.quit().await?;
        }
        gateway.process.settle().await?;
        let before = gateway.process.memory()?;
        let mut waiting = Vec::new();
        for _ in 0..connections {
            waiting.push(wait_in(&gateway, &tls, starttls).await?);
        }
        gateway.process.settle().await?;
        let after = gateway.process.memory()?;
        let each = after.saturating_sub(before) as f64 / connections as f64;
        rows.push(vec![
            name.to_owned(),
            format!("{before}"),
            format!("{after}"),
            format!("{each:.1}"),
            MARK.judge(each),
        ]);
        // They still wait: none was closed by the gateway meanwhile.
        for client in &mut waiting {
            client.command("NOOP").await?;
        }
    }
    table::print(
        &format!("Memory of {connections} idle connections with a client certificate, kB"),
        &["", "gateway before", "gateway with them", "each", "mark"],
        &rows,
    );
    Ok(())
}

async fn wait_in(gateway: &Gateway, tls: &ClientTls, starttls: bool) -> Result<Client, Failure> {
    let mut client = match starttls {
        false => Client::connect(gateway.implicit, Security::Implicit(tls)).await?,
        true => {
            let mut client = Client::connect(gateway.starttls, Security::StartTls(tls)).await?;
            client.ehlo().await?;
            client.starttls(tls).await?;
            client
        }
    };
    let reply = client.ehlo().await?;
    match reply.is_positive() {
        true => Ok(client),
        false => Err(format!("EHLO was answered {reply}").into()),
    }
}
