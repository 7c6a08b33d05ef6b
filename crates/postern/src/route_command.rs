//! `postern route`: the way that mail for a recipient would take, and why.

use std::path::Path;
use std::process::ExitCode;

use delivery::{Cause, Dialect, Hop, Hosts, NamedBy, Origin, Outcome, Outlook, Protection, TlsMode, To, Way};
use protocol::{Body, Envelope, ForwardPath, Recipient, ReversePath};
use serde_json::{Value, json};

use crate::cli::RouteArguments;
use crate::config::problem::Place;
use crate::config::{self, Configuration};
use crate::run;
use crate::table::table;

/// Exits with 0 when there is a next hop, with 2 when the mail would come back, with 3 when it would wait, with 1 when
/// that cannot be told.
pub(crate) fn route(arguments: &RouteArguments) -> ExitCode {
    match asked(arguments) {
        Ok((configuration, place, origin, envelope)) => run::block_on(async move {
            let Some(outlook) = configuration.courier.outlook(&origin, &envelope, 0).await else {
                return fail("there is no recipient");
            };
            let told = Told { recipient: arguments.address.as_str(), outlook: &outlook, place: &place };
            match arguments.json {
                true => println!("{}", told.json()),
                false => told.print(),
            }
            told.exit()
        }),
        Err(Refused::Told(code)) => code,
        Err(Refused::Because(why)) => fail(&why),
    }
}

fn fail(why: &str) -> ExitCode {
    eprintln!("error: {why}");
    ExitCode::FAILURE
}

enum Refused {
    Because(String),
    Told(ExitCode),
}

impl From<String> for Refused {
    fn from(why: String) -> Self {
        Self::Because(why)
    }
}

/// The question, in the terms of the configuration.
fn asked(arguments: &RouteArguments) -> Result<(Configuration, Place, Origin, Envelope), Refused> {
    let path = |address: &str| if address.starts_with('<') { address.to_owned() } else { format!("<{address}>") };
    let recipient = ForwardPath::parse(&path(&arguments.address)).map_err(|error| error.to_string())?;
    let ForwardPath::Mailbox(mailbox) = recipient else {
        return Err(Refused::Because("a postmaster without a domain goes to nobody's next hop".to_owned()));
    };
    let reverse_path = match &arguments.sender {
        Some(sender) => ReversePath::parse(&path(sender)).map_err(|error| error.to_string())?,
        None => ReversePath::Null,
    };
    let file = run::enter_folder(&arguments.config.config).map_err(|problem| Refused::Told(run::refuse(&[problem])))?;
    let reading = config::read(&file);
    let (Some(configuration), Some(place)) = (reading.configuration, reading.place) else {
        return Err(Refused::Told(run::refuse(&reading.problems)));
    };
    let listeners = configuration.listeners.iter().map(|listener| listener.name.clone());
    let listener = known("[[listener]]", arguments.listener.as_deref(), listeners)?;
    let policies = configuration.listeners.iter().flat_map(|listener| listener.groups.policies());
    let policy = known("policy", arguments.policy.as_deref(), policies.map(|policy| policy.name.to_string()))?;
    let identity = arguments.identity.clone().unwrap_or_default();
    let envelope = Envelope {
        reverse_path,
        recipients: vec![Recipient { mailbox, notify: None, original: None }],
        body: Body::SevenBit,
        smtputf8: false,
        require_tls: false,
        ret: None,
        envid: None,
    };
    Ok((configuration, place, Origin { identity, listener, policy, client: None }, envelope))
}

/// A name that is in use; empty when none was given.
fn known(what: &str, name: Option<&str>, names: impl Iterator<Item = String>) -> Result<String, String> {
    let Some(name) = name else { return Ok(String::new()) };
    let mut names: Vec<String> = names.collect();
    if names.iter().any(|known| known == name) {
        return Ok(name.to_owned());
    }
    names.sort();
    names.dedup();
    Err(format!("mail comes in by no {what} {name:?}; there are: {}", names.join(", ")))
}

struct Told<'a> {
    recipient: &'a str,
    outlook: &'a Outlook,
    place: &'a Place,
}

impl Told<'_> {
    /// Which route stands there: as people count them, and where in the file.
    fn route(&self, number: usize, span: &std::ops::Range<usize>) -> String {
        let line = self.place.line(span).map(|line| format!(" ({line})")).unwrap_or_default();
        format!("route {}{line}", number + 1)
    }

    fn print(&self) {
        for (number, (span, unmet)) in self.outlook.passed_over.iter().enumerate() {
            println!("not {}: {} does not fit", self.route(number, span), unmet.key());
        }
        let Some(taken) = &self.outlook.taken else {
            return println!("no route is for {}: it would come back to the sender (5.4.4)", self.recipient);
        };
        println!("{} takes {}", self.recipient, self.route(self.outlook.passed_over.len(), &taken.span));
        match &taken.to {
            To::Hosts { hosts, dialect, tls, hops } => {
                println!("  hosts     {}", listed(hosts));
                println!("  protocol  {}", spoken(*dialect));
                println!("  tls       {tls}\n");
                print_hops(*tls, hops);
            }
            To::Maildir { folder: Some(folder), create } => println!("  maildir   {}", put(folder, *create)),
            To::Maildir { folder: None, .. } => println!("it would come back to the sender: {NO_NAME}"),
        }
    }

    fn json(&self) -> Value {
        let passed: Vec<Value> = (1..)
            .zip(&self.outlook.passed_over)
            .map(|(number, (span, unmet))| json!({ "route": number, "line": self.place.line(span), "unmet": unmet.key() }))
            .collect();
        let taken = self.outlook.taken.as_ref().map(|taken| {
            let to = match &taken.to {
                To::Hosts { hosts, dialect, tls, hops } => json!({
                    "hosts": listed(hosts),
                    "protocol": spoken(*dialect),
                    "tls": tls.to_string(),
                    "next_hops": hops.as_ref().ok().map(|hops| hops.iter().map(hop_json).collect::<Vec<_>>()),
                    "outcome": hops.as_ref().err().map(outcome_json),
                }),
                To::Maildir { folder, create } => json!({
                    "maildir": folder, "is_there": folder.as_ref().map(|folder| folder.is_dir()), "create": create,
                }),
            };
            json!({
                "route": self.outlook.passed_over.len() + 1,
                "line": self.place.line(&taken.span),
                "to": to,
            })
        });
        json!({ "recipient": self.recipient, "passed_over": passed, "taken": taken })
    }

    fn exit(&self) -> ExitCode {
        let Some(Way { to, .. }) = &self.outlook.taken else { return ExitCode::from(2) };
        let waits = ExitCode::from(3);
        match to {
            To::Hosts { hops: Ok(hops), .. } if hops.iter().any(|hop| hop.addresses.is_ok() && hop.tls.is_ok()) => {
                ExitCode::SUCCESS
            }
            To::Hosts { hops: Ok(_) | Err(Outcome::Deferred(_)), .. } => waits,
            To::Maildir { folder: Some(folder), create } if *create || folder.is_dir() => ExitCode::SUCCESS,
            To::Maildir { folder: Some(_), .. } => waits,
            To::Hosts { .. } | To::Maildir { folder: None, .. } => ExitCode::from(2),
        }
    }
}

/// As the delivery would say.
const NO_NAME: &str = "5.1.3 no mailbox here can have this name";

fn put(folder: &Path, create: bool) -> String {
    let state = match (folder.is_dir(), create) {
        (true, _) => "",
        (false, true) => " (made with the first message)",
        (false, false) => " (not there: it would wait)",
    };
    format!("{}{state}", folder.display())
}

fn print_hops(mode: TlsMode, hops: &Result<Vec<Hop>, Outcome>) {
    match hops {
        Ok(hops) => {
            let mut rows = table();
            rows.set_header(["next hop", "named by", "addresses", "tls"]);
            for hop in hops {
                rows.add_row([hop.host.to_string(), named_by(hop), addresses(hop), tls(mode, hop)]);
            }
            println!("{rows}");
        }
        Err(Outcome::Deferred(cause)) => println!("it would wait: {} {cause}", cause.status()),
        Err(Outcome::Failed(cause)) => println!("it would come back to the sender: {} {cause}", cause.status()),
        Err(Outcome::Delivered { .. }) => {}
    }
}

fn listed(hosts: &Hosts) -> String {
    match hosts {
        Hosts::Listed(listed) => listed.iter().map(|listed| listed.host.to_string()).collect::<Vec<_>>().join(", "),
        Hosts::Mx { port } => format!("the mail exchanges of the domain, port {port}"),
    }
}

fn spoken(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Smtp => "smtp",
        Dialect::Lmtp => "lmtp",
    }
}

fn named_by(hop: &Hop) -> String {
    let signed = if hop.is_name_secure { ", signed" } else { "" };
    match hop.named_by {
        NamedBy::Route { priority } => format!("the route, priority {priority}"),
        NamedBy::Literal => "the recipient's address".to_owned(),
        NamedBy::Domain => "the domain itself, which has no MX".to_owned(),
        NamedBy::Exchange { preference } => format!("MX {preference}{signed}"),
    }
}

fn addresses(hop: &Hop) -> String {
    match &hop.addresses {
        Ok(addresses) => addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        Err(cause) => unprefixed(cause),
    }
}

/// Without the host's name, which stands beside it.
fn unprefixed(cause: &Cause) -> String {
    format!("{} {}", cause.status(), Cause { host: None, ..cause.clone() })
}

/// What it would come to, and by what.
fn tls(mode: TlsMode, hop: &Hop) -> String {
    let protection = match &hop.tls {
        Ok(protection) => *protection,
        Err(cause) => return format!("no delivery now: {}", unprefixed(cause)),
    };
    let by = match (mode, protection) {
        (TlsMode::Dane, Protection::Verified) => ": TLSA records fit",
        (TlsMode::Dane, Protection::Encrypted) => ": its TLSA records are of no use",
        (TlsMode::Dane, _) => ": no signed TLSA records",
        (TlsMode::MtaSts, Protection::Verified) => ": the policy (enforce) lists it",
        (TlsMode::MtaSts, Protection::Tested) => ": the policy (testing) lists it",
        (TlsMode::MtaSts, _) => ": no policy is for it",
        _ => "",
    };
    format!("{}{by}", described(protection))
}

fn described(protection: Protection) -> &'static str {
    match protection {
        Protection::Never => "never",
        Protection::Opportunistic => "if offered, with whoever answers",
        Protection::Encrypted => "required, with whoever answers",
        Protection::Verified => "required, with the right host",
        Protection::Tested => "tried with the right host, else as offered",
    }
}

fn hop_json(hop: &Hop) -> Value {
    let named_by = match hop.named_by {
        NamedBy::Route { priority } => json!({ "route": { "priority": priority } }),
        NamedBy::Literal => json!("literal"),
        NamedBy::Domain => json!("domain"),
        NamedBy::Exchange { preference } => json!({ "mx": { "preference": preference } }),
    };
    let protection = |protection: &Protection| match protection {
        Protection::Never => "never",
        Protection::Opportunistic => "opportunistic",
        Protection::Encrypted => "encrypted",
        Protection::Verified => "verified",
        Protection::Tested => "tested",
    };
    json!({
        "host": hop.host.address(),
        "port": hop.host.port(),
        "named_by": named_by,
        "secure": hop.is_name_secure,
        "addresses": hop.addresses.as_ref().ok(),
        "addresses_missing": hop.addresses.as_ref().err().map(unprefixed),
        "tls": hop.tls.as_ref().ok().map(protection),
        "tls_refused": hop.tls.as_ref().err().map(unprefixed),
    })
}

fn outcome_json(outcome: &Outcome) -> Value {
    let told = |what: &str, cause: &Cause| json!({ "what": what, "status": cause.status().to_string(), "cause": cause.to_string() });
    match outcome {
        Outcome::Deferred(cause) => told("deferred", cause),
        Outcome::Failed(cause) => told("failed", cause),
        Outcome::Delivered { .. } => json!({ "what": "delivered" }),
    }
}
