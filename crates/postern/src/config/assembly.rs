//! From settings to parts: names are looked up, files are read, and every problem is collected.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use auth::{Forward, Oauth, PasswordSource, Profile};
use directory::Directory;
use pki::{CrlStore, Fetcher, IssuerStore, Knowledge, OcspStore, RevocationMethod, Trust, Verifier};
use protocol::Domain;
use serde_spanned::Spanned;
use session::{IdentityKey, ServerKey, TlsSettings};

use super::Configuration;
use super::problem::{Place, Problem, nearest};
use super::settings::{Named, Settings};

mod mail_flow;
mod routes;

pub(super) struct Assembly<'a> {
    place: &'a Place,
    /// Keys that were refused already: what refers to them is not a problem of its own.
    struck: &'a [String],
    problems: Vec<Problem>,
}

/// What profiles name beside trusts.
struct People<'p> {
    directories: &'p Parts<Arc<Directory>>,
    forwards: &'p Parts<Arc<Forward>>,
    oauths: &'p Parts<Arc<Oauth>>,
}

/// Things with names, and whether a name is known that could not be built.
struct Parts<T> {
    kind: &'static str,
    built: BTreeMap<String, T>,
    broken: HashSet<String>,
}

impl<'a> Assembly<'a> {
    pub(super) fn new(place: &'a Place, struck: &'a [String]) -> Self {
        Self { place, struck, problems: Vec::new() }
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// `None` when something that nothing works without is missing; its problem is reported.
    pub(super) fn build(&mut self, settings: Settings) -> Option<Configuration> {
        let hostname = self.hostname(settings.hostname.as_ref());
        let state_dir = self.required("state_dir", settings.state_dir.as_ref(), "state_dir = \"/var/lib/postern\"");
        let state_dir = state_dir.map(|dir| dir.get_ref().clone());
        let tls = self.required("tls", settings.tls.as_ref(), "[tls] with certificate and key").cloned();
        let server_key = tls.as_ref().and_then(|tls| self.server_key(tls));
        let identity_key = self.identity_key(&settings.trace);
        let trusts = self.trusts(&settings.trust, settings.crl.check_inbound);
        let state_folder = state_dir.as_ref().map(|dir: &PathBuf| dir.join("crl"));
        let knowledge = self.knowledge(&settings, &trusts, state_folder.as_deref());
        let directories = self.directories(&settings.directory);
        let forwards = self.forwards(&settings.forward, hostname.as_ref());
        let verifiers = knowledge.as_ref().map(|knowledge| (knowledge, settings.fetch.max_wait.0));
        let oauths = self.oauths(&settings.oauth, &settings.fetch);
        let people = People { directories: &directories, forwards: &forwards, oauths: &oauths };
        let profiles = self.profiles(&settings.authentication, &trusts, &people, verifiers);
        let policies = self.policies(&settings.policy);
        let recipients = self.recipients(&settings.recipients, &directories);
        self.listener_names(&settings.listener);
        let listeners = match (&tls, &server_key) {
            (Some(tls), Some(key)) => {
                let plan = |listener| self.listener(listener, tls, key, &profiles, &policies, &recipients);
                settings.listener.iter().filter_map(plan).collect()
            }
            _ => Vec::new(),
        };
        let resolver = self.resolver(&settings.dns);
        let names = Self::names(resolver.as_ref(), &listeners);
        let means = self.means(&settings, &trusts, hostname.as_ref(), knowledge.as_ref(), resolver.as_ref());
        let tls_reports = self.tls_reports(&settings, means.as_ref());
        let courier = self.courier(&settings, &policies, &trusts, means);
        Some(Configuration {
            hostname: hostname?,
            state_dir: state_dir?,
            log: settings.log,
            limits: settings.limits,
            trace: settings.trace,
            identity_key,
            keep_days: settings.report.keep.0,
            server_key: server_key?,
            trusts: trusts.built.into_values().collect(),
            knowledge: knowledge?,
            directories: directories.built.into_values().collect(),
            forwards: forwards.built.into_values().collect(),
            listeners,
            names,
            metrics: settings.metrics,
            relay: settings.relay,
            courier: courier?,
            tls_reports,
            spool: settings.spool,
        })
    }

    fn error(&mut self, span: std::ops::Range<usize>, key: &str, message: impl ToString) {
        self.problems.push(Problem::error(self.place.at(Some(span)), key, &message.to_string()));
    }

    fn warn(&mut self, span: std::ops::Range<usize>, key: &str, message: &str, mend: &str) {
        self.problems.push(Problem::warning(self.place.at(Some(span)), key, message).mend(mend));
    }

    fn required<'s, T>(&mut self, key: &str, value: Option<&'s T>, mend: &str) -> Option<&'s T> {
        if value.is_none() && !self.struck.iter().any(|struck| struck == key) {
            self.problems.push(Problem::error(None, key, "missing").mend(format!("add {mend}")));
        }
        value
    }

    fn hostname(&mut self, hostname: Option<&Spanned<String>>) -> Option<Domain> {
        let hostname = self.required("hostname", hostname, "hostname = \"mail.example.org\"")?;
        match Domain::parse(hostname.get_ref()) {
            Ok(domain) => Some(domain),
            Err(error) => {
                self.error(hostname.span(), "hostname", error);
                None
            }
        }
    }

    fn server_key(&mut self, tls: &TlsSettings) -> Option<Arc<ServerKey>> {
        match ServerKey::load(tls.certificate.get_ref(), tls.key.get_ref()) {
            Ok(key) => Some(Arc::new(key)),
            Err(error) => {
                self.error(tls.certificate.span(), "tls", error);
                None
            }
        }
    }

    /// `None` where the field is not signed; one that cannot be read is a problem.
    fn identity_key(&mut self, trace: &session::TraceSettings) -> Option<Arc<IdentityKey>> {
        let path = trace.identity_key.as_ref()?;
        let key = "trace.identity_key";
        if !trace.identity && !self.struck.iter().any(|struck| struck == "trace.identity") {
            self.error(path.span(), key, "there is nothing to sign: write identity = true beside it");
        }
        IdentityKey::load(path.get_ref()).map_err(|error| self.error(path.span(), key, error)).ok().map(Arc::new)
    }

    fn resolver(&mut self, settings: &dns::Settings) -> Option<Arc<dns::Resolver>> {
        match dns::Resolver::new(settings) {
            Ok(resolver) => Some(Arc::new(resolver)),
            Err(error) => {
                self.problems.push(Problem::error(self.place.at(error.span()), "dns", &error.to_string()));
                None
            }
        }
    }

    /// Builds each of a table of named things.
    fn each<T, S>(
        &mut self,
        kind: &'static str,
        settings: &Named<S>,
        mut build: impl FnMut(&mut Self, &str, &Spanned<S>) -> Option<T>,
    ) -> Parts<T> {
        let mut parts = Parts { kind, built: BTreeMap::new(), broken: HashSet::new() };
        for (name, settings) in settings {
            match build(self, name, settings) {
                Some(part) => drop(parts.built.insert(name.clone(), part)),
                None => drop(parts.broken.insert(name.clone())),
            }
        }
        let prefix = format!("{kind}.");
        let struck = self.struck.iter().filter_map(|key| key.strip_prefix(&prefix));
        parts.broken.extend(struck.filter(|name| !name.contains('.')).map(str::to_owned));
        parts
    }

    /// What a name stands for. An unknown name is a problem; one whose thing is broken has its problem already.
    fn look_up<'p, T>(&mut self, parts: &'p Parts<T>, key: &str, name: &Spanned<String>) -> Option<&'p T> {
        let wanted = name.get_ref();
        let found = parts.built.get(wanted);
        if found.is_none() && !parts.broken.contains(wanted) {
            let names: Vec<String> = parts.built.keys().chain(&parts.broken).cloned().collect();
            let mend = match nearest(wanted, &names) {
                Some(name) => format!("did you mean {name:?}?"),
                None => format!("write a [{}.{wanted}], or one of those there are: {}", parts.kind, names.join(", ")),
            };
            let message = format!("there is no [{}.{wanted}]", parts.kind);
            self.problems.push(Problem::error(self.place.at(Some(name.span())), key, &message).mend(mend));
        }
        found
    }

    fn trusts(&mut self, settings: &Named<pki::TrustSettings>, check_inbound: bool) -> Parts<Arc<Trust>> {
        self.each("trust", settings, |this, name, settings| {
            let key = format!("trust.{name}");
            if settings.get_ref().revocation.is_empty() || !check_inbound {
                let message = "revocation is switched off: revoked certificates are accepted";
                this.warn(settings.span(), &key, message, "write revocation = [\"crl\"] and add a [[crl.source]]");
            }
            let mut settings = settings.clone();
            if !check_inbound {
                settings.get_mut().revocation.clear();
            }
            Trust::load(name, settings.get_ref())
                .map_err(|error| this.error(settings.span(), &key, error))
                .ok()
                .map(Arc::new)
        })
    }

    /// Lists, OCSP answers and fetched issuers; nothing is fetched yet.
    fn knowledge(
        &mut self,
        settings: &Settings,
        trusts: &Parts<Arc<Trust>>,
        folder: Option<&Path>,
    ) -> Option<Knowledge> {
        let fetcher = match Fetcher::new(&settings.fetch) {
            Ok(fetcher) => fetcher,
            Err(error) => {
                self.problems.push(Problem::error(None, "fetch.ca", &error.to_string()));
                return None;
            }
        };
        self.fetch_warnings(settings, trusts);
        let crls = self.crls(settings, trusts, fetcher.clone(), folder)?;
        let ocsp = OcspStore::new(&settings.ocsp, fetcher.clone());
        Some(Knowledge::new(crls, ocsp, IssuerStore::new(fetcher)))
    }

    /// What is asked for, and can't be had.
    fn fetch_warnings(&mut self, settings: &Settings, trusts: &Parts<Arc<Trust>>) {
        let mut warn = |key: &str, message: &str, mend: &str| {
            self.problems.push(Problem::warning(None, key, message).mend(mend));
        };
        let uses = |method| trusts.built.values().any(|trust| trust.settings().revocation.contains(&method));
        let nowhere = settings.fetch.allowed_hosts.is_empty();
        let allow = "write fetch.allowed_hosts = [\"ocsp.example.mil\"], or \".example.mil\" for all below it";
        if uses(RevocationMethod::Crl) && settings.crl.source.is_empty() && !settings.crl.follow_distribution_points {
            let message = "revocation is to be checked by lists, and there is no [[crl.source]]";
            warn("crl", message, "add a [[crl.source]] for each issuing CA");
        }
        if uses(RevocationMethod::Ocsp) && settings.ocsp.responder.is_empty() && nowhere {
            let message = "revocation is to be checked by OCSP, and no responder may be asked";
            warn("ocsp", message, &format!("{allow}, or add an [[ocsp.responder]]"));
        }
        if settings.crl.follow_distribution_points && nowhere {
            warn("crl.follow_distribution_points", "no host is allowed, so none is followed", allow);
        }
        if trusts.built.values().any(|trust| trust.settings().fetch_issuers) && nowhere {
            warn("fetch_issuers", "no host is allowed, so no issuer is fetched", allow);
        }
        for trust in settings.ocsp.responder.iter().filter_map(|responder| responder.trust.as_ref()) {
            if !trusts.built.contains_key(trust) && !trusts.broken.contains(trust) {
                warn("ocsp.responder.trust", &format!("there is no [trust.{trust}]"), "name a trust, or leave it out");
            }
        }
    }

    fn crls(
        &mut self,
        settings: &Settings,
        trusts: &Parts<Arc<Trust>>,
        fetcher: Fetcher,
        folder: Option<&Path>,
    ) -> Option<CrlStore> {
        // Whoever vouches for next hops; a file that cannot be read is the route's problem.
        let of_routes = settings.route.iter().filter_map(|route| route.ca.as_ref());
        let of_routes = of_routes.filter_map(|ca| pki::Certificate::from_file(ca.get_ref()).ok()).flatten();
        let issuers = trusts.built.values().flat_map(|trust| trust.certificates()).chain(of_routes);
        match CrlStore::open(&settings.crl, issuers, fetcher, folder) {
            Ok(store) => {
                for source in store.status() {
                    let Some(error) = source.last_error else { continue };
                    let problem = Problem::warning(None, &format!("crl.source {:?}", source.name), &error);
                    self.problems.push(problem.mend("until it can be read, revocation is unknown for its issuer"));
                }
                Some(store)
            }
            Err(error) => {
                self.problems.push(Problem::error(None, "crl", &error.to_string()));
                None
            }
        }
    }

    fn directories(&mut self, settings: &Named<directory::Settings>) -> Parts<Arc<Directory>> {
        self.each("directory", settings, |this, name, settings| this.directory(name, settings))
    }

    /// Opens a directory; no server is asked.
    pub(super) fn directory(&mut self, name: &str, settings: &Spanned<directory::Settings>) -> Option<Arc<Directory>> {
        let key = format!("directory.{name}");
        let opened = Directory::open(name, settings.get_ref()).map_err(|error| match error {
            directory::Error::Setting { key: below, span, text, .. } => {
                self.error(span, &format!("{key}.{below}"), text);
            }
            error => self.error(settings.span(), &key, error),
        });
        let directory = opened.ok()?;
        for note in directory.notes() {
            self.problems.push(Problem::warning(self.place.at(Some(settings.span())), &key, &note));
        }
        Some(Arc::new(directory))
    }

    fn forwards(&mut self, settings: &Named<auth::ForwardSettings>, hostname: Option<&Domain>) -> Parts<Arc<Forward>> {
        self.each("forward", settings, |this, name, settings| {
            let key = format!("forward.{name}");
            let forward = Forward::open(name, settings.get_ref(), hostname?, &session::provider());
            let forward = forward.map_err(|faults| {
                for fault in faults {
                    let at = this.place.at(Some(fault.span)).or_else(|| this.place.at(Some(settings.span())));
                    let problem = Problem::error(at, &format!("{key}.{}", fault.key), &fault.text);
                    this.problems.push(problem.mend(fault.mend));
                }
            });
            let forward = forward.ok()?;
            for note in forward.notes() {
                this.problems.push(Problem::warning(this.place.at(Some(settings.span())), &key, &note));
            }
            Some(Arc::new(forward))
        })
    }

    fn oauths(&mut self, settings: &Named<auth::OauthSettings>, fetch: &pki::FetchSettings) -> Parts<Arc<Oauth>> {
        self.each("oauth", settings, |this, name, settings| {
            // What is wrong with [fetch] is told where lists are.
            let fetcher = Fetcher::new(fetch).ok()?;
            match Oauth::open(name, settings.get_ref(), fetcher) {
                Ok(oauth) => Some(Arc::new(oauth)),
                Err(faults) => {
                    for fault in faults {
                        let span = if fault.span == (0..0) { settings.span() } else { fault.span };
                        let key = format!("oauth.{name}.{}", fault.key);
                        let key = key.trim_end_matches('.');
                        this.problems
                            .push(Problem::error(this.place.at(Some(span)), key, &fault.text).mend(fault.mend));
                    }
                    None
                }
            }
        })
    }

    fn profiles(
        &mut self,
        settings: &Named<auth::Settings>,
        trusts: &Parts<Arc<Trust>>,
        people: &People<'_>,
        verifiers: Option<(&Knowledge, Duration)>,
    ) -> Parts<Arc<Profile>> {
        let People { directories, forwards, oauths } = people;
        self.each("authentication", settings, |this, name, spanned| {
            let settings = spanned.get_ref();
            let key = format!("authentication.{name}");
            // What was struck from it may have been what seems to be missing.
            let whole = |part: &str| !this.struck.iter().any(|struck| struck.starts_with(&format!("{key}.{part}")));
            let certain = |found: &auth::Contradiction| match found.key {
                "" => whole(""),
                "password" => whole("password."),
                _ => true,
            };
            let contradictions: Vec<_> = settings.contradictions().into_iter().filter(certain).collect();
            for contradiction in contradictions {
                let span = if contradiction.span == (0..0) { spanned.span() } else { contradiction.span };
                let key =
                    if contradiction.key.is_empty() { key.clone() } else { format!("{key}.{}", contradiction.key) };
                this.error(span, &key, contradiction.text);
            }
            let mut broken = false;
            let certificate = settings.certificate.as_ref().map(|certificate| {
                let trust = this.look_up(trusts, &format!("{key}.certificate.trust"), &certificate.trust).cloned();
                let directory = certificate.directory.as_ref().map(|directory| {
                    this.look_up(directories, &format!("{key}.certificate.directory"), directory).cloned()
                });
                (trust, directory)
            });
            let certificate = match certificate {
                None => None,
                Some((Some(trust), None)) => Some((trust, None)),
                Some((Some(trust), Some(Some(directory)))) => Some((trust, Some(directory))),
                Some(_) => {
                    broken = true;
                    None
                }
            };
            let password = settings.password.as_ref().and_then(|password| {
                let (directory, forward) = (&password.get_ref().directory, &password.get_ref().forward);
                let source = match (directory, forward) {
                    (Some(name), _) => this
                        .look_up(directories, &format!("{key}.password.directory"), name)
                        .map(|directory| PasswordSource::Directory(Arc::clone(directory))),
                    (None, Some(name)) => this
                        .look_up(forwards, &format!("{key}.password.forward"), name)
                        .map(|forward| PasswordSource::Forward(Arc::clone(forward))),
                    (None, None) => None,
                };
                broken |= source.is_none();
                if let Some(PasswordSource::Directory(directory)) = &source {
                    this.scram(&format!("{key}.password.mechanisms"), password, directory);
                }
                source
            });
            let oauth = settings.password.as_ref().and_then(|password| password.get_ref().oauth.as_ref());
            let oauth = oauth.map(|name| this.look_up(oauths, &format!("{key}.password.oauth"), name).cloned());
            broken |= matches!(oauth, Some(None));
            let (knowledge, max_wait) = verifiers?;
            let certificate =
                certificate.map(|(trust, directory)| (Verifier::new(trust, knowledge.clone(), max_wait), directory));
            let profile = || {
                let profile = Profile::new(name, settings, certificate, password);
                match oauth.flatten() {
                    Some(oauth) => profile.with_tokens(oauth),
                    None => profile,
                }
            };
            (!broken).then(|| Arc::new(profile()))
        })
    }

    /// SCRAM is offered: are there verifiers?
    fn scram(&mut self, key: &str, password: &Spanned<auth::PasswordSettings>, directory: &Directory) {
        if !password.get_ref().mechanisms.as_slice().iter().any(|mechanism| mechanism.is_scram()) {
            return;
        }
        let name = directory.name();
        if !directory.holds_scram() {
            let message = format!(
                "SCRAM needs verifiers, and directory {name:?} says not where they are: write smtp_auth_query.scram_attribute there, or leave SCRAM out"
            );
            self.error(password.span(), key, message);
        }
        if let Some((without, all)) = directory.without_scram() {
            let message = format!(
                "{without} of {all} people with a password in directory {name:?} have no SCRAM verifier: clients that choose SCRAM, as most do, fail for them"
            );
            self.warn(password.span(), key, &message, "make theirs with `postern password --scram`, beside the hash");
        }
    }
}
