//! Sessions that were: played on a running gateway, explained by their ids from its log, and judged again under other
//! configurations. Expected outputs are files; `GOLDEN=write` writes them anew.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::gateway::Gateway;
use crate::harness::golden;
use crate::harness::world::World;
use crate::harness::{dialogues, until};
use crate::t03_authentication::at_home;
use crate::t08_commands::{neutral, postern, timeless};

const HOW_TO_1: &str = include_str!("../t03_authentication/how-to-1-client-certificate/postern.toml");
const HOW_TO_2: &str = include_str!("../t03_authentication/how-to-2-smtp-auth-with-allowance/postern.toml");
const HOW_TO_3: &str = include_str!("../t03_authentication/how-to-3-certificate-or-smtp-auth/postern.toml");
const HOW_TO_4: &str = include_str!("../t03_authentication/how-to-4-by-client-address/postern.toml");
const ODD: &str = include_str!("odd/postern.toml");

/// A session as the log has it.
struct Logged {
    id: String,
    at: String,
}

/// Plays every dialogue of a folder, and keeps the log as `gateway.log`. The sessions in the order of the dialogues.
async fn played(world: &World, folder: &str, configuration: &str) -> Vec<Logged> {
    let gateway = world.start(configuration);
    dialogues::play_all(folder, world, &gateway).await;
    let expected = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "dialogue"))
        .count();
    kept(world, &gateway, expected).await
}

/// Waits for so many sessions in the log, and keeps it.
async fn kept(world: &World, gateway: &Gateway, expected: usize) -> Vec<Logged> {
    let enough = async || {
        let facts: Vec<Value> = gateway.log_lines().iter().filter_map(|line| facts(line)).collect();
        (facts.len() >= expected).then_some(facts)
    };
    let facts = until(&format!("{expected} sessions in the log"), enough).await;
    world.write("gateway.log", gateway.log_lines().join("\n") + "\n");
    let mut sessions: Vec<Logged> = facts
        .iter()
        .map(|facts| Logged {
            id: facts["id"].as_str().unwrap().to_owned(),
            at: facts["at"].as_str().unwrap().to_owned(),
        })
        .collect();
    sessions.sort_by(|one, other| one.id.cmp(&other.id));
    assert_eq!(sessions.len(), expected);
    sessions
}

fn facts(line: &str) -> Option<Value> {
    let line: Value = serde_json::from_str(line).ok()?;
    serde_json::from_str(line["facts"].as_str()?).unwrap()
}

/// Without what differs from run to run; what stands in tables keeps its width.
fn settled(world: &World, sessions: &[Logged], text: &str) -> String {
    let mut text = golden::without_now(&neutral(world, text));
    for (number, session) in sessions.iter().enumerate() {
        text = text
            .replace(&session.id, &format!("{:013x}", 0x5e55_1000 + number))
            .replace(&session.at, "2026-11-24T08:00:00Z");
    }
    let text = replaced(&text, "queued as ", |c| c.is_ascii_alphanumeric(), "0ABCDEFGHJK");
    replaced(&text, "which was ", |c| c.is_ascii_alphanumeric() || c == ' ', "AGE ")
        .replace("which was AGE at the session's begin", "which was AGE old at the session's begin")
}

/// What follows `before`, as long as it `is` so, becomes `by`.
fn replaced(text: &str, before: &str, is: impl Fn(char) -> bool + Copy, by: &str) -> String {
    let mut parts = text.split(before);
    let first = parts.next().unwrap_or_default().to_owned();
    let keep = |part: &str| {
        let rest = part.trim_start_matches(is);
        // Only what ends with the age itself.
        let rest = if before == "which was " { part.find(" old at").map_or(rest, |at| &part[at + 1..]) } else { rest };
        format!("{before}{by}{rest}")
    };
    parts.fold(first, |text, part| text + &keep(part))
}

fn explained(world: &World, sessions: &[Logged], config: &str) -> String {
    let mut transcript = String::new();
    for session in sessions {
        let arguments = ["explain", "--config", config, "--log", "gateway.log", "--session", &session.id];
        let said = postern(world, &arguments);
        transcript.push_str(&format!("{}exit {}\n\n\n", settled(world, sessions, &said.text), said.code));
    }
    transcript
}

/// Every dialogue of the four how-tos, and what they do not show: explained by its id, under the configuration that it
/// was judged by. Every reply is what it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_session_can_be_explained_afterwards() {
    const CASES: [(&str, &str, &str); 5] = [
        ("how-to-1", "t03_authentication/how-to-1-client-certificate", HOW_TO_1),
        ("how-to-2", "t03_authentication/how-to-2-smtp-auth-with-allowance", HOW_TO_2),
        ("how-to-3", "t03_authentication/how-to-3-certificate-or-smtp-auth", HOW_TO_3),
        ("how-to-4", "t03_authentication/how-to-4-by-client-address", HOW_TO_4),
        ("odd", "t14_explain/odd", ODD),
    ];
    let mut failures = Vec::new();
    for (name, folder, configuration) in CASES {
        let world = World::new().await;
        timeless(&world);
        let sessions = played(&world, folder, &at_home(configuration)).await;
        let transcript = explained(&world, &sessions, "postern.toml");
        assert!(!transcript.contains("differs"), "{name}: {transcript}");
        assert_eq!(transcript.matches("every reply is what it was").count(), sessions.len(), "{name}: {transcript}");
        for password in ["carol-password", "alice-password", "AGNhcm9s"] {
            let log = fs::read_to_string(world.path("gateway.log")).unwrap();
            assert!(!log.contains(password), "{name}: a password is in the log");
        }
        failures.extend(golden::differs(&format!("t14_explain/sessions/{name}.expected"), &transcript));
        // Nothing changes where nothing was changed.
        let said = postern(&world, &["simulate", "--config", "postern.toml", "--log", "gateway.log"]);
        assert_eq!(said.code, 0, "{name}: {}", said.text);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// Yesterday's sessions of the third how-to under stricter rules: what would change, for whom; and what no log can tell.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stricter_rules_are_tried_on_yesterdays_sessions() {
    let world = World::new().await;
    timeless(&world);
    let base = at_home(HOW_TO_3);
    let sessions = played(&world, "t03_authentication/how-to-3-certificate-or-smtp-auth", &base).await;
    let other = |name: &str, from: &str, to: &str| {
        assert!(base.contains(from), "{from}");
        let text = base.replace(from, to).replace("127.0.0.1:2525", "127.0.0.1:2");
        world.write(&format!("{name}.toml"), text);
    };
    other("no-fallback", "on_missing = \"fallback\"\non_invalid = \"fallback\"\n", "");
    other("tls-required", "tls = \"preferred\"", "tls = \"required\"");
    other("nobody", "\"10.0.0.0/8\"", "\"192.0.2.0/24\"");
    other(
        "no-plain",
        "password = { directory = \"people\" }",
        "password = { directory = \"people\", mechanisms = [\"LOGIN\"] }",
    );
    other("other-filter", "filter = \"(caccn={cn})\"", "filter = \"(&(caccn={cn})(uid=*))\"");
    other("sender-any", "smtp_auth = \"required\"", "smtp_auth = \"required\"\nsender = \"any\"");
    other("renamed", "name = \"submission\"", "name = \"others\"");
    let mut transcript = String::new();
    for (name, more) in [
        ("no-fallback", &[][..]),
        ("tls-required", &[]),
        ("nobody", &["--limit", "2"]),
        ("no-plain", &[]),
        ("sender-any", &[]),
        ("other-filter", &[]),
        ("renamed", &[]),
        ("no-fallback", &["--json"]),
    ] {
        let config = format!("{name}.toml");
        let arguments = [&["simulate", "--config", &config, "--log", "gateway.log"], more].concat();
        let said = postern(&world, &arguments);
        let text = settled(&world, &sessions, &said.text);
        transcript.push_str(&format!("$ postern {}\n{text}exit {}\n\n", arguments.join(" "), said.code));
    }
    // One of those that would change, in full.
    transcript.push_str(&explained(&world, &sessions[1..3], "no-fallback.toml"));
    if let Some(failure) = golden::differs("t14_explain/simulate.expected", &transcript) {
        panic!("{failure}");
    }
}

/// What the header says of its author, and what is only tried out, is judged again like everything else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authors_and_monitored_rules_are_tried_on_yesterdays_sessions() {
    let world = World::new().await;
    timeless(&world);
    let base = at_home(HOW_TO_1);
    let policy =
        |more: &str| base.replacen("smtp_auth = \"required\"", &format!("smtp_auth = \"required\"\n{more}"), 1);
    let sessions = played(&world, "t14_explain/authors", &base).await;
    const BOUND: &str = "from_header = \"own-address\"";
    let mut transcript = String::new();
    for (name, more) in [
        ("bound", BOUND),
        ("domain", "from_header = \"own-domain\""),
        ("rewritten", &format!("{BOUND}\non_foreign_from = \"rewrite\"")),
        ("tried-out", &format!("{BOUND}\nmonitor = [\"from-header\"]")),
        ("lenient", "monitor = [\"sender\", \"certificate\", \"auth\"]"),
    ] {
        let config = format!("{name}.toml");
        world.write(&config, policy(more).replace("127.0.0.1:2525", "127.0.0.1:2"));
        let arguments = ["simulate", "--config", &config, "--log", "gateway.log"];
        let said = postern(&world, &arguments);
        let text = settled(&world, &sessions, &said.text);
        transcript.push_str(&format!("$ postern {}\n{text}exit {}\n\n", arguments.join(" "), said.code));
    }
    transcript.push_str(&explained(&world, &sessions[1..2], "bound.toml"));
    transcript.push_str(&explained(&world, &sessions[1..2], "tried-out.toml"));

    // The other way round: what was refused is accepted once the rule is only tried out.
    let gateway = world.start(&policy(BOUND));
    let refused =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("t14_explain/authors/02-another.dialogue"));
    let refused = refused.unwrap().replace(
        "S: 250 2.0.0 Ok: queued as *",
        "S: 550-5.7.1 The header's From or Sender names bob@example.mil, which is not yours\nS: 550 5.7.1 You may send as <alice@example.mil>*",
    );
    dialogues::play(&refused, &world, &gateway).await.unwrap();
    let sessions = kept(&world, &gateway, 1).await;
    for config in ["bound.toml", "tried-out.toml", "postern.toml"] {
        world.write("postern.toml", base.as_bytes());
        transcript.push_str(&explained(&world, &sessions, config));
    }
    if let Some(failure) = golden::differs("t14_explain/authors.expected", &transcript) {
        panic!("{failure}");
    }
}

/// With certificates in the log, trust and directory can be asked again; without, it is said what is missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_can_be_asked_again_is_asked_again() {
    let world = World::new().await;
    timeless(&world);
    let base = at_home(HOW_TO_1).replace("[crl]\n", "");
    let full = base.replacen("state_dir", "log.facts = \"full\"\nstate_dir", 1);
    let sessions = played(&world, "t03_authentication/how-to-1-client-certificate", &full).await;
    // Bob's card is Alice's from now on: another filter, and people who are told apart otherwise.
    let people = fs::read_to_string(world.path("people.toml")).unwrap();
    world.write("others.toml", people.replace("caccn = \"DOE.ALICE.A.1234567890\"", "cacserial = \"0a\""));
    world.write("other.toml", full.replace("people.toml", "others.toml").replace("127.0.0.1:2525", "127.0.0.1:2"));
    let alice = &sessions[..1];
    let arguments = ["explain", "--config", "other.toml", "--log", "gateway.log", "--session", &alice[0].id];
    let mut transcript = String::new();
    for live in [&[][..], &["--live"]] {
        let said = postern(&world, &[&arguments, live].concat());
        transcript.push_str(&format!("{}exit {}\n\n\n", settled(&world, &sessions, &said.text), said.code));
    }
    for live in [&[][..], &["--live"]] {
        let arguments = [&["simulate", "--config", "other.toml", "--log", "gateway.log"], live].concat();
        let said = postern(&world, &arguments);
        transcript.push_str(&format!("{}exit {}\n\n\n", settled(&world, &sessions, &said.text), said.code));
    }
    if let Some(failure) = golden::differs("t14_explain/live.expected", &transcript) {
        panic!("{failure}");
    }
}

/// `[log] facts` says what is kept; each line of a session has its id whatever is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_is_a_setting() {
    for (setting, events, chain) in [("none", false, false), ("decisions", true, false), ("full", true, true)] {
        let world = World::new().await;
        timeless(&world);
        let configuration =
            at_home(HOW_TO_1).replacen("state_dir", &format!("log.facts = \"{setting}\"\nstate_dir"), 1);
        let gateway = world.start(&configuration);
        dialogues::play_all("t03_authentication/how-to-1-client-certificate", &world, &gateway).await;
        let line =
            gateway.wait_for_log("Alice's session", |line| line["message"] == "session" && line["identity"] == "alice");
        let id = line["span"]["id"].as_str().unwrap();
        assert_eq!(id.len(), 13, "{line}");
        let facts = line["facts"].as_str().unwrap_or_default();
        assert_eq!(facts.contains("\"events\""), events, "{setting}: {line}");
        assert_eq!(facts.contains("\"chain\""), chain, "{setting}: {line}");
        assert_eq!(facts.contains("\"steps\""), chain, "{setting}: {line}");
        world.write("gateway.log", gateway.log_lines().join("\n") + "\n");
        let arguments = ["explain", "--config", "postern.toml", "--log", "gateway.log", "--session", id];
        let said = postern(&world, &arguments);
        assert_eq!(said.success, events, "{setting}: {}", said.text);
        if !events {
            assert!(said.text.contains("facts = \"decisions\""), "{}", said.text);
        }
    }
}

/// What an administrator may get wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_said() {
    let world = World::new().await;
    world.configure(&at_home(HOW_TO_1));
    world.write("empty.log", "");
    world.write("text.log", "not JSON\n{\"message\":\"session\",\"facts\":\"{\\\"v\\\":7}\"}\n");
    world.write("broken.log", "{\"message\":\"session\",\"facts\":\"{\"}\n");
    let id = "0644c6f0a3b1e";
    for (arguments, code, told) in [
        (&["explain", "--session", id, "--log", "empty.log"][..], 1, "no session 0644c6f0a3b1e"),
        (&["explain", "--session", id, "--log", "nowhere.log"], 1, "nowhere.log"),
        (&["explain", "--session", id], 2, "--log"),
        (&["explain", "--session", "alice", "--log", "empty.log"], 2, "thirteen hexadecimal digits"),
        (&["explain", "--session", id, "--log", "empty.log", "--client", "10.1.2.3"], 2, "--client"),
        (&["explain", "--listener", "submission"], 2, "--client"),
        (&["simulate", "--log", "empty.log"], 1, "no session with facts"),
        (&["simulate", "--log", "text.log"], 1, "version 7"),
        (&["simulate", "--log", "broken.log"], 1, "cannot be read"),
        (&["simulate", "--log", "nowhere.log"], 1, "nowhere.log"),
        (&["simulate"], 2, "--log"),
    ] {
        let said = postern(&world, &[arguments, &["--config", "postern.toml"]].concat());
        assert!(said.code == code && said.text.contains(told), "{arguments:?}: {} {}", said.code, said.text);
    }
}

/// The same client under two configurations, and at another time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_configurations_are_compared() {
    let world = World::new().await;
    timeless(&world);
    world.configure(&at_home(HOW_TO_3));
    world.write("other.toml", at_home(HOW_TO_3).replace("on_invalid = \"fallback\"\n", ""));
    let mut transcript = String::new();
    for question in [
        &["--certificate", "pki/expired.pem", "--user", "carol", "--compare", "other.toml"][..],
        &["--certificate", "pki/alice.pem", "--sender", "alice@example.mil", "--compare", "other.toml"],
        &["--certificate", "pki/alice.pem", "--at", "2050-01-01T00:00:00Z"],
        &["--certificate", "pki/expired.pem", "--at", "2020-06-01T00:00:00Z"],
    ] {
        let arguments = ["explain", "--config", "postern.toml", "--listener", "submission", "--client", "10.1.2.3"];
        let said = postern(&world, &[&arguments, question].concat());
        let text = neutral(&world, &said.text);
        transcript.push_str(&format!("$ postern explain … {}\n{text}exit {}\n\n", question.join(" "), said.code));
    }
    if let Some(failure) = golden::differs("t14_explain/compare.expected", &transcript) {
        panic!("{failure}");
    }
}
