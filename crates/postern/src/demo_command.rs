//! `postern demo`: a gateway, a next hop and a tour, all in one folder on one machine.

mod folder;
mod tour;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;

use demo::{NextHop, Pki};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Demo;
use crate::config;
use crate::gateway::Gateway;
use crate::{logging, run};

use folder::Folder;

/// Runs the demo until it is interrupted, or until the tour is over.
pub(crate) fn demo(arguments: &Demo) -> ExitCode {
    run::block_on(async {
        match show(arguments).await {
            Ok(code) => code,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        }
    })
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn show(arguments: &Demo) -> Result<ExitCode, Failure> {
    println!("Making a PKI, people and a configuration in {} …", arguments.dir.display());
    let folder = Folder::open(&arguments.dir)?;
    let pki = Pki::open(&folder.path("pki"))?;
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let next_hop = NextHop::start(&folder.path("delivered"), loopback(0)).await?;
    let [starttls, implicit] = free_ports([arguments.starttls_port, arguments.implicit_port])?;
    let ports = folder::Ports { starttls, implicit, next_hop: next_hop.address().port() };
    folder.write(&ports)?;
    logging::start_in_file(&folder.path("postern.log"))?;

    let gateway = start(&folder.path("postern.toml")).await?;
    println!(
        "The gateway listens: STARTTLS on 127.0.0.1:{}, implicit TLS on 127.0.0.1:{}.",
        ports.starttls, ports.implicit
    );
    println!("Taking the tour …\n");
    let tour = tour::take(&pki, &ports, &next_hop).await?;
    println!("{}\n", tour.table(folder.root()));

    if !arguments.tour_only {
        println!("{}", folder.paste_lines(&ports));
        wait_for_interrupt().await?;
        println!("\nStopping …");
    }
    gateway.stop().await;
    next_hop.stop().await;
    if tour.went_as_it_should() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("error: the tour did not go as it should; {} has the details", folder.path("postern.log").display());
    Ok(ExitCode::FAILURE)
}

/// The demo's configuration is read as any other is: what it shows is what `postern run` does with the file.
async fn start(file: &Path) -> Result<Gateway, Failure> {
    let path = file.to_owned();
    let reading = tokio::task::spawn_blocking(move || config::read(&path)).await?;
    let problems: Vec<String> = reading.problems.iter().map(ToString::to_string).collect();
    let configuration = reading.configuration.ok_or_else(|| problems.join("\n"))?;
    Ok(Gateway::start(configuration).await?)
}

/// The ports asked for, or for each 0 one that is free now. The configuration file names them, so that it can be used by
/// itself. They are held until all are known: one that is let go may be the next one found.
fn free_ports<const COUNT: usize>(mut ports: [u16; COUNT]) -> std::io::Result<[u16; COUNT]> {
    let mut held = Vec::new();
    for port in ports.iter_mut().filter(|port| **port == 0) {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

async fn wait_for_interrupt() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::free_ports;

    #[test]
    fn free_ports_differ_and_those_asked_for_stay() {
        let mut ports = free_ports([0; 100]).unwrap();
        ports.sort_unstable();
        assert!(ports.windows(2).all(|pair| pair[0] < pair[1]), "{ports:?}");
        assert_eq!(free_ports([2587, 2465]).unwrap(), [2587, 2465]);
    }
}
