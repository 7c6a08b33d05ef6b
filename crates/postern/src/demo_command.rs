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
    let ports = folder::Ports {
        starttls: free_port(arguments.starttls_port)?,
        implicit: free_port(arguments.implicit_port)?,
        next_hop: next_hop.address().port(),
    };
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

/// The port asked for, or one that is free now. The configuration file names it, so that it can be used by itself.
fn free_port(wanted: u16) -> std::io::Result<u16> {
    match wanted {
        0 => Ok(std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port()),
        wanted => Ok(wanted),
    }
}

async fn wait_for_interrupt() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}
