//! A week in monitor, the report of it, and the day on which the rule goes live.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use demo::pki::ALICE;
use serde_json::Value;

use super::{CONFIGURATION, Client, enforced, reload};
use crate::harness::peers::{command, has, run, run_with_input};
use crate::harness::world::card;
use crate::harness::{Gateway, World, golden};
use crate::t08_commands::postern;

const LEFT: &str = "state/statistics.json";

/// The day so many days ago, in UTC, as the machine's own calendar has it.
fn day(ago: usize) -> String {
    run(command("date").args(["-u", "-d", &format!("{ago} days ago"), "+%F"])).text.trim().to_owned()
}

/// A night passes: what was counted today was counted yesterday, and so on.
fn night(world: &World) {
    let mut text = fs::read_to_string(world.path(LEFT)).unwrap();
    for ago in (0..10).rev() {
        text = text.replace(&day(ago), &day(ago + 1));
    }
    world.write(LEFT, text);
}

/// With days told by how long they are ago, and no time of day.
fn neutral(text: &str) -> String {
    let mut text = text.to_owned();
    for ago in 0..10 {
        let date = day(ago);
        text = text.replace(&date, &format!("YYYY-MM-D{ago}")).replace(&date[5..], &format!("MM-D{ago}"));
    }
    let mut parts = text.split("YYYY-MM-D");
    let first = parts.next().unwrap_or_default().to_owned();
    let timeless = |part: &str| match (part.get(..1), part.get(1..2), part.get(10..)) {
        (Some(ago), Some("T"), Some(rest)) => format!("YYYY-MM-D{ago}Thh:mm:ssZ{}", rest.trim_start_matches('Z')),
        _ => format!("YYYY-MM-D{part}"),
    };
    first + &parts.map(timeless).collect::<String>()
}

fn report(world: &World, arguments: &[&str]) -> String {
    let said = postern(world, &[&["report", "--config", "postern.toml"], arguments].concat());
    assert!(said.success, "{}", said.text);
    said.text
}

fn json(world: &World, arguments: &[&str]) -> Value {
    serde_json::from_str(&report(world, &[&["--json"], arguments].concat())).unwrap()
}

fn card_by_smtplib(world: &World, gateway: &Gateway) {
    let mut python = command("python3");
    python.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("t01_clients/submit.py"));
    python.args(["starttls", &gateway.address("submission").port().to_string(), "TLSv1_3"]);
    python.args(["pki/ca.pem", "pki/alice.pem", "pki/alice.key"].map(|file| world.path(file)));
    let said = run_with_input(&mut python, "From: alice@example.mil\r\nSubject: a card\r\n\r\nHello.\r\n");
    assert!(said.success, "{}", said.text);
}

/// curl offers AUTH, and sends no certificate.
fn password_by_curl(world: &World, gateway: &Gateway, user: &str, password: &str) -> bool {
    let mut curl = command("curl");
    curl.args(["--silent", "--show-error", "--ssl-reqd", "--crlf", "--upload-file", "-", "--cacert"]);
    curl.arg(world.path("pki/ca.pem")).args(["--user", &format!("{user}:{password}")]);
    curl.args(["--mail-from", &format!("{user}@example.mil"), "--mail-rcpt", "somebody@example.net"]);
    curl.arg(format!("smtp://localhost:{}", gateway.address("submission").port()));
    run_with_input(&mut curl, "Subject: a password\n\nHello.\n").success
}

fn ends(world: &World, gateway: Gateway) {
    assert!(gateway.stop().success());
    night(world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_week_in_monitor_and_then_the_rule() {
    if !has(&["swaks", "curl", "python3", "date"]) {
        return;
    }
    let world = World::new().await;
    let (now, hour) = (SystemTime::now(), Duration::from_secs(60 * 60));
    world.issue("expired", &card(ALICE).valid(now - 100 * hour, now - hour));
    // Sessions are counted one after the other, without an hour between them.
    let configuration = CONFIGURATION.replace("_per_identity = 4", "_per_identity = 1000");
    let printer = Client { subject: "a printer", ..Client::default() };
    let expired = Client { subject: "an expired card", tls: true, certificate: Some("expired"), ..Client::default() };

    // The first day: everybody sends as ever.
    let gateway = world.start(&configuration);
    card_by_smtplib(&world, &gateway);
    for client in [printer, printer, expired] {
        assert!(client.send(&world, &gateway, "submission").success);
    }
    assert!(password_by_curl(&world, &gateway, "carol", "carol-password"));
    assert!(!password_by_curl(&world, &gateway, "carol", "wrong"), "monitor makes no wrong password right");
    assert!(password_by_curl(&world, &gateway, "alice", "alice-password"), "her allowance says no, and is monitored");
    let live = json(&world, &["--listener", "submission"]);
    assert_eq!(live["places"].as_array().unwrap().len(), 1, "what nobody came to is not told: {live}");
    assert_eq!(live["places"][0]["rules"].as_array().unwrap().len(), 6, "{live}");
    ends(&world, gateway);

    // The printer has learnt TLS, and Carol waits for her card.
    let gateway = world.start(&configuration);
    card_by_smtplib(&world, &gateway);
    let learnt = Client { tls: true, ..printer };
    assert!(learnt.send(&world, &gateway, "submission").success);
    assert!(password_by_curl(&world, &gateway, "carol", "carol-password"));
    reload(&world, &gateway, &configuration);
    ends(&world, gateway);

    let gateway = world.start(&configuration);
    assert!(password_by_curl(&world, &gateway, "carol", "carol-password"));
    ends(&world, gateway);

    // From now on all have cards; a weekend without mail.
    let gateway = world.start(&configuration);
    card_by_smtplib(&world, &gateway);
    ends(&world, gateway);
    for _ in 0..2 {
        ends(&world, world.start(&configuration));
    }
    let gateway = world.start(&configuration);
    card_by_smtplib(&world, &gateway);

    let told = neutral(&report(&world, &["--policy", "office", "--svg", "week.svg"]));
    assert_eq!(golden::differs("t15_modes/report.expected", &told), None);
    let svg = fs::read_to_string(world.path("week.svg")).unwrap();
    assert_eq!(golden::differs("t15_modes/week.svg", &neutral(&svg)), None);

    let week = json(&world, &["--policy", "office"]);
    let rules = week["places"][0]["rules"].as_array().unwrap();
    let rule = |name: &str| rules.iter().find(|rule| rule["rule"] == name).unwrap();
    let certificate = rule("certificate");
    let safe = (&certificate["safe_since"], &certificate["safe_days"], &certificate["sessions_since"]);
    assert_eq!(safe, (&day(3).into(), &3.into(), &2.into()), "{certificate}");
    assert_eq!(certificate["last"], day(4));
    assert_eq!((&rule("tls")["last"], &rule("tls")["safe_days"]), (&day(6).into(), &5.into()));
    assert_eq!((&rule("sender")["last"], &rule("sender")["safe_days"]), (&Value::Null, &6.into()));
    let people = week["places"][0]["would_be_refused"].as_array().unwrap();
    assert_eq!((&people[0]["who"], &people[0]["times"]), (&"carol".into(), &3.into()), "{people:#?}");
    let only = json(&world, &["--policy", "office", "--since", "1d", "--top", "1"]);
    assert_eq!(only["places"][0]["days"].as_object().unwrap().len(), 1, "{only}");
    assert_eq!(only["places"][0]["would_be_refused"], Value::Array(vec![]));

    // The rule goes live.
    reload(&world, &gateway, &enforced(&configuration));
    card_by_smtplib(&world, &gateway);
    assert!(!expired.send(&world, &gateway, "submission").success);
    assert!(!password_by_curl(&world, &gateway, "carol", "carol-password"));
    let after = json(&world, &["--policy", "office", "--since", "1d"]);
    let today = after["places"][0]["days"][day(0)].as_array().unwrap();
    let count = |what: &str, reason: &str| {
        let row = today.iter().find(|row| row["what"] == what && row["reason"] == reason);
        row.map_or(0, |row| row["count"].as_u64().unwrap())
    };
    let counts = (count("certificate refused", "expired"), count("certificate refused", "missing"));
    assert_eq!(counts, (1, 1), "{today:#?}");
    assert_eq!(after["places"][0]["rules"][0]["monitored_since"], Value::Null);

    // What was counted outlives the gateway, and can be read without one.
    assert!(gateway.stop().success());
    let left = report(&world, &["--policy", "office"]);
    assert!(left.contains("this is what the last one counted"), "{left}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(world.path(LEFT)).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "it has names");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_counted_and_what_cannot_be_read() {
    let world = World::new().await;
    world.configure(CONFIGURATION);
    fs::create_dir(world.path("state")).unwrap();
    let ask = |arguments: &[&str]| postern(&world, &[&["report", "--config", "postern.toml"], arguments].concat());
    let said = ask(&[]);
    assert!(!said.success && said.text.contains("nothing was counted"), "{}", said.text);
    world.write(LEFT, "{\"version\":7,\"ledgers\":[]}");
    let gateway = world.start(CONFIGURATION);
    gateway.wait_for_log("that the counts are a newer gateway's", |line| {
        line["error"].as_str().is_some_and(|error| error.contains("format 7 is not known here"))
    });
    assert!(world.path("state/statistics.unreadable.json").exists());
    let said = ask(&["--listener", "submision"]);
    assert!(!said.success && said.text.contains("there are: inbound/inbound, submission/office"), "{}", said.text);
    assert!(ask(&["--since", "400d"]).success);
}
