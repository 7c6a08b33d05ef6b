//! How directories and their servers fare: for `postern check --connect`, at the gateway's start, and over the control
//! socket.

use std::sync::Arc;

use directory::{CacheHealth, Directory, Finding, FindingState, ServerHealth};
use serde::{Deserialize, Serialize};

use crate::config::problem::{Place, Problem};

/// What can be asked about directories.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum DirectoryRequest {
    Status,
    /// All, or the one of this name.
    Flush(Option<String>),
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum DirectoryAnswer {
    Status(Vec<DirectoryRow>),
    /// The names of those that forgot.
    Flushed(Vec<String>),
    /// The request names what there is not.
    Refused(String),
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DirectoryRow {
    pub(crate) name: String,
    /// Of a people file.
    pub(crate) people: Option<usize>,
    pub(crate) servers: Vec<ServerRow>,
    /// Of directory servers.
    pub(crate) memory: Option<MemoryRow>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ServerRow {
    pub(crate) server: String,
    pub(crate) connections: usize,
    pub(crate) in_flight: usize,
    pub(crate) searches: u64,
    pub(crate) failures: u64,
    pub(crate) down: Option<DownRow>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DownRow {
    pub(crate) why: String,
    pub(crate) since_seconds: u64,
    pub(crate) next_try_seconds: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MemoryRow {
    pub(crate) entries: usize,
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    /// Questions that waited for the answer to an equal one.
    pub(crate) shared: u64,
}

/// The answer of a running gateway.
pub(crate) fn answer(directories: &[Arc<Directory>], request: DirectoryRequest) -> DirectoryAnswer {
    match request {
        DirectoryRequest::Status => DirectoryAnswer::Status(directories.iter().map(|one| row(one)).collect()),
        DirectoryRequest::Flush(wanted) => {
            let is_meant = |one: &&Arc<Directory>| wanted.as_deref().is_none_or(|wanted| wanted == one.name());
            let meant: Vec<_> = directories.iter().filter(is_meant).collect();
            if let (Some(wanted), true) = (&wanted, meant.is_empty()) {
                let names: Vec<&str> = directories.iter().map(|one| one.name()).collect();
                return DirectoryAnswer::Refused(no_directory(wanted, &names));
            }
            meant.iter().for_each(|one| one.flush());
            DirectoryAnswer::Flushed(meant.iter().map(|one| one.name().to_owned()).collect())
        }
    }
}

/// What is said where a name is nobody's.
pub(crate) fn no_directory(name: &str, names: &[&str]) -> String {
    format!("there is no [directory.{name}]; there are: {}", names.join(", "))
}

fn row(directory: &Directory) -> DirectoryRow {
    let servers: Vec<ServerRow> = directory.health().into_iter().map(server_row).collect();
    let memory = directory.cache_health().map(|CacheHealth { entries, hits, misses, shared }| MemoryRow {
        entries,
        hits,
        misses,
        shared,
    });
    let people = memory.is_none().then(|| directory.people());
    DirectoryRow { name: directory.name().to_owned(), people, servers, memory }
}

fn server_row(health: ServerHealth) -> ServerRow {
    ServerRow {
        server: health.server,
        connections: health.connections,
        in_flight: health.in_flight,
        searches: health.searches,
        failures: health.failures,
        down: health.down.map(|down| DownRow {
            why: down.why,
            since_seconds: down.since.as_secs(),
            next_try_seconds: down.next_try.as_secs(),
        }),
    }
}

/// Connects to every server of a directory: what is wrong there, with the place of the setting that it is about.
pub(crate) async fn connect(directory: &Directory, place: &Place) -> Vec<Problem> {
    let mut problems = Vec::new();
    for finding in directory.check_connection().await {
        let key = format!("directory.{}.{}", directory.name(), finding.key);
        let (at, text) = (place.at(Some(finding.span.clone())), finding.to_string());
        let problem = match finding.state {
            FindingState::Fine => {
                println!("directory.{}: {text}", directory.name());
                continue;
            }
            FindingState::Warning => Problem::warning(at, &key, &text),
            FindingState::Problem => Problem::error(at, &key, &text),
        };
        problems.push(match finding.mend {
            Some(mend) => problem.mend(mend),
            None => problem,
        });
    }
    problems
}

/// Looks at every server once, and logs what is wrong: nobody waits for it.
pub(crate) async fn look(directories: &[Arc<Directory>]) {
    for directory in directories {
        directory.check_connection().await.iter().for_each(|finding| log(directory.name(), finding));
    }
}

fn log(directory: &str, finding: &Finding) {
    let Finding { server, key, text, mend, .. } = finding;
    match finding.state {
        FindingState::Fine => tracing::debug!(directory, server, "{text}"),
        FindingState::Warning => tracing::warn!(directory, server, key, mend, "{text}"),
        FindingState::Problem => tracing::error!(directory, server, key, mend, "{text}"),
    }
}
