//! The configuration: from the file's shape to parts that are built and checked. Everything it names is read, so that
//! `postern check` finds what `postern run` would.

pub(crate) mod document;
pub(crate) mod problem;
pub(crate) mod settings;
mod assembly;
mod basis;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use directory::Directory;
use policy::{AddressRange, SenderGroups};
use protocol::Domain;
use session::{Limits, ListenerTls, ServerKey, TlsContext, TraceSettings};

use problem::{Place, Problem, Severity};
use settings::{LogSettings, Settings};

/// A configuration whose every part is sound.
pub(crate) struct Configuration {
    pub(crate) hostname: Domain,
    pub(crate) state_dir: PathBuf,
    pub(crate) log: LogSettings,
    pub(crate) limits: Limits,
    pub(crate) trace: TraceSettings,
    pub(crate) identity_key: Option<Arc<session::IdentityKey>>,
    /// Days for which counts are kept.
    pub(crate) keep_days: u16,
    pub(crate) server_key: Arc<ServerKey>,
    pub(crate) trusts: Vec<Arc<pki::Trust>>,
    pub(crate) knowledge: pki::Knowledge,
    pub(crate) directories: Vec<Arc<Directory>>,
    pub(crate) forwards: Vec<Arc<auth::Forward>>,
    pub(crate) listeners: Vec<ListenerPlan>,
    /// `None` where no sender group names hosts.
    pub(crate) names: Option<session::Names>,
    pub(crate) metrics: console::MetricsSettings,
    pub(crate) relay: session::RelaySettings,
    pub(crate) courier: delivery::Courier,
    /// `None` where TLS sessions are not reported to the domains they were for.
    pub(crate) tls_reports: Option<crate::tls_reports::Reports>,
    pub(crate) spool: spool::Settings,
}

/// A listener before it is bound.
#[derive(Clone)]
pub(crate) struct ListenerPlan {
    pub(crate) name: String,
    pub(crate) bind: Vec<std::net::SocketAddr>,
    pub(crate) implicit_tls: ListenerTls,
    pub(crate) proxy_protocol_from: Vec<AddressRange>,
    pub(crate) groups: SenderGroups,
    pub(crate) max_connections: u32,
    pub(crate) recipients: Option<session::Recipients>,
    pub(crate) basis: session::Basis,
    pub(crate) profile: Option<Arc<auth::Profile>>,
    pub(crate) tls: TlsContext,
}

/// What came of reading a configuration: warnings do not stop it, errors do.
pub(crate) struct Reading {
    /// `None` when there is an error among the problems.
    pub(crate) configuration: Option<Configuration>,
    /// In the order of the file.
    pub(crate) problems: Vec<Problem>,
    /// For problems that show later; `None` where the file could not be read.
    pub(crate) place: Option<Place>,
}

/// Larger than any configuration, and small enough to be read whole.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// Reads the file and all it names. Blocks.
pub(crate) fn read(file: &Path) -> Reading {
    let text = match read_text(file) {
        Ok(text) => text,
        Err(problem) => return Reading { configuration: None, problems: vec![problem], place: None },
    };
    let place = Place::new(file, &text);
    let document = document::read::<Settings>(&place, &text);
    let mut problems = document.problems;
    let configuration = document.settings.and_then(|settings| {
        let mut assembly = assembly::Assembly::new(&place, &document.struck);
        let configuration = assembly.build(settings);
        problems.extend(assembly.into_problems());
        configuration
    });
    let configuration = configuration.map(|mut configuration| {
        // It was read once already; what cannot be read leads to no configuration.
        let settings: toml::Table = text.parse().unwrap_or_default();
        for listener in &mut configuration.listeners {
            listener.basis = basis::of(&settings, &listener.name);
        }
        configuration
    });
    problems.sort_by_key(Problem::place);
    let refused = problems.iter().any(|problem| problem.severity == Severity::Error);
    Reading { configuration: configuration.filter(|_| !refused), problems, place: Some(place) }
}

/// One directory of a file, whatever else is wrong there: it can be tried before the rest is written. Blocks.
pub(crate) fn directory(file: &Path, name: &str) -> Result<Arc<Directory>, Vec<Problem>> {
    let text = read_text(file).map_err(|problem| vec![problem])?;
    let place = Place::new(file, &text);
    let document = document::read::<Settings>(&place, &text);
    let Some(settings) = document.settings else { return Err(document.problems) };
    let key = format!("directory.{name}");
    let mut problems = document.problems;
    problems.retain(|problem| problem.is_about(&key));
    let mut assembly = assembly::Assembly::new(&place, &document.struck);
    let found = match settings.directory.get(name) {
        Some(settings) => assembly.directory(name, settings),
        None if problems.is_empty() => {
            let names: Vec<String> = settings.directory.keys().cloned().collect();
            let message = format!("there is no [directory.{name}]");
            return Err(vec![Problem::error(None, "", &message).mend(format!("there are: {}", names.join(", ")))]);
        }
        None => None,
    };
    problems.extend(assembly.into_problems().into_iter().filter(|problem| problem.severity == Severity::Error));
    match (found, problems.iter().all(|problem| problem.severity != Severity::Error)) {
        (Some(directory), true) => Ok(directory),
        _ => Err(problems),
    }
}

/// One `[dkim.NAME]` of a file, whatever else is wrong there: its record is published before the rest is written. Blocks.
pub(crate) fn dkim(file: &Path, name: &str) -> Result<delivery::DkimSettings, Vec<Problem>> {
    let text = read_text(file).map_err(|problem| vec![problem])?;
    let document = document::read::<Settings>(&Place::new(file, &text), &text);
    let Some(mut settings) = document.settings else { return Err(document.problems) };
    let key = format!("dkim.{name}");
    let problems: Vec<Problem> = document.problems.into_iter().filter(|problem| problem.is_about(&key)).collect();
    match settings.dkim.remove(name) {
        Some(settings) if problems.is_empty() => Ok(settings.into_inner()),
        None if problems.is_empty() => {
            let names: Vec<String> = settings.dkim.keys().cloned().collect();
            let message = format!("there is no [dkim.{name}]");
            Err(vec![Problem::error(None, "", &message).mend(format!("there are: {}", names.join(", ")))])
        }
        _ => Err(problems),
    }
}

/// The key of `[trace]` of a file, whatever else is wrong there: the next hop is given the public one before. Blocks.
pub(crate) fn identity_key(file: &Path) -> Result<session::IdentityKey, Vec<Problem>> {
    let text = read_text(file).map_err(|problem| vec![problem])?;
    let document = document::read::<Settings>(&Place::new(file, &text), &text);
    let Some(settings) = document.settings else { return Err(document.problems) };
    let key = "trace.identity_key";
    let problems: Vec<Problem> = document.problems.into_iter().filter(|problem| problem.is_about(key)).collect();
    match settings.trace.identity_key {
        Some(path) if problems.is_empty() => {
            session::IdentityKey::load(path.get_ref()).map_err(|why| vec![Problem::error(None, key, &why)])
        }
        None if problems.is_empty() => {
            let mend = "add identity_key = \"FILE\" to [trace]: openssl genpkey -algorithm ED25519 makes one";
            Err(vec![Problem::error(None, key, "missing").mend(mend)])
        }
        _ => Err(problems),
    }
}

/// Where a gateway with this configuration keeps its state, without reading anything that the file names.
pub(crate) fn state_dir(file: &Path) -> Option<PathBuf> {
    let text = read_text(file).ok()?;
    let settings = document::read::<Settings>(&Place::new(file, &text), &text).settings?;
    Some(settings.state_dir?.into_inner())
}

fn read_text(file: &Path) -> Result<String, Problem> {
    let refuse = |message: String| Problem::error(None, &file.display().to_string(), &message);
    let metadata = fs::metadata(file).map_err(|error| {
        refuse(error.to_string())
            .mend("name the configuration file with --config, or see it at work with `postern demo`")
    })?;
    if metadata.len() > MAX_FILE {
        return Err(refuse(format!("larger than {MAX_FILE} octets: this is no configuration")));
    }
    let octets = fs::read(file).map_err(|error| refuse(error.to_string()))?;
    String::from_utf8(octets).map_err(|_| refuse("not UTF-8".to_owned()))
}
