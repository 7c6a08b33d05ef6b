//! `postern directory`, `check --connect` and `explain` against a real slapd. Expected outputs are files;
//! `GOLDEN=write` writes them anew.

use std::process::Command;
use std::time::{Duration, SystemTime};

use demo::ca::{KEY_COMPROMISE, Revoked, crl_pem};
use demo::pki::ALICE;
use demo::{Ca, Client, Issued, Name, Security, Template};
use serde_json::Value;

use crate::harness::gateway::binary;
use crate::harness::golden;
use crate::harness::peers::{Said, has, run};
use crate::harness::slapd::{Slapd, person};
use crate::harness::world::card;
use crate::harness::{Gateway, World, until};

const CONFIGURATION: &str = include_str!("commands.toml");
/// When everything is asked about, so that nothing depends on the day.
const AT: [&str; 2] = ["--at", "2026-11-24T12:00:00Z"];

/// A world with a PKI of known dates and serial numbers, and a slapd that holds its people.
struct Bed {
    world: World,
    slapd: Slapd,
}

impl Bed {
    async fn new() -> Self {
        let world = World::new().await;
        let day = |days: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(days * 24 * 60 * 60);
        let (y2020, y2021, y2023, y2049) = (day(18_262), day(18_628), day(19_358), day(28_855));
        let authority = |name: &str, serial: u8, below| Template {
            serial: Some(vec![serial]),
            ..Template::authority(Name::dod().common_name(name), below).valid(y2020, y2049)
        };
        let root = Ca::root(&authority("Test Root CA", 1, None)).unwrap();
        let issuing = root.subordinate_as(&authority("Test ID CA-1", 2, Some(0))).unwrap();
        let stranger = Ca::root(&authority("Stranger CA", 3, None)).unwrap();
        let template = |name: &str, serial: u8, until| Template {
            serial: Some(vec![serial]),
            ..Template::cac(name, "somebody@example.mil").valid(y2020, until)
        };
        let issue = |name: &str, serial, until| issuing.issue(&template(name, serial, until)).unwrap();
        let alice = issuing.issue(&Template { serial: Some(vec![0x0a]), ..card(ALICE).valid(y2020, y2049) }).unwrap();
        let soon = issue("ROE.BOB.B.1234567891", 0x0b, day(20_787));
        let expired = issue("LATE.ERIN.E.1234567894", 0x0c, y2021);
        let revoked = issue("GONE.GINA.G.1234567896", 0x0d, y2049);
        let twin = issue("TWIN.TOM.T.1234567897", 0x0e, y2049);
        let own = issue("MIX.MARY.M.1234567898", 0x0f, y2049);
        let nobodys = issue("NIX.NEMO.N.9999999999", 0x10, y2049);
        let renewed = issue("NEW.NINA.N.1234567899", 0x11, y2049);
        let former = issue("NEW.NINA.N.1234567899", 0x12, y2021);
        let strange = stranger.issue(&template("HALE.HANK.H.1234567890", 0x13, y2049)).unwrap();
        for (name, issued) in [("alice", &alice), ("expired", &expired), ("twin", &twin), ("nobody", &nobodys)] {
            world.keep(name, issued);
        }
        let lost = Revoked { serial: revoked.serial.clone(), at: y2021, reason: Some(KEY_COMPROMISE) };
        let crls = [issuing.crl(&[lost], y2023, y2049).unwrap(), root.crl(&[], y2023, y2049).unwrap()];
        world.write("pki/crl.pem", crls.iter().map(crl_pem).collect::<String>());
        world.write("pki/ca.pem", root.certificate_pem());
        world.write("pki/issuing.pem", issuing.certificate_pem());
        let of = |uid: &str, name: &str, serial: &str, certificates: &[&Issued]| {
            person(uid, &[("caccn", name), ("cacserial", serial)], certificates)
        };
        let people = [
            of("alice", ALICE.common_name, "0A", &[&alice]),
            of("bob", "ROE.BOB.B.1234567891", "0B", &[&soon]),
            of("erin", "LATE.ERIN.E.1234567894", "0C", &[&expired]),
            of("gina", "GONE.GINA.G.1234567896", "0D", &[&revoked]),
            of("tom", "TWIN.TOM.T.1234567897", "0E", &[&twin]),
            of("tim", "twin.tom.t.1234567897", "0e", &[]),
            of("mary", "MIX.MARY.M.1234567898", "0F", &[&own, &alice]),
            of("nina", "NEW.NINA.N.1234567899", "11", &[&former, &renewed]),
            of("hank", "HALE.HANK.H.1234567890", "13", &[&strange]),
            of("dora", "DEAR.DORA.D.1234567801", "14", &[]),
            person("nemo", &[], &[&nobodys]),
            person("carol", &[], &[]),
            person("lee", &[("caccn", "LOST.LEE.L.1234567802")], &[]),
            person("eve", &[("caccn", "EXEMPT.EVE.E.1234567803"), ("cacexempt", "broken reader")], &[]),
        ];
        let slapd = Slapd::start(&world, &people.concat());
        let bed = Self { world, slapd };
        bed.configure("", "");
        bed
    }

    /// The usual configuration, with this part of it exchanged.
    fn configure(&self, from: &str, to: &str) -> String {
        assert!(CONFIGURATION.contains(from), "{from}");
        let text = CONFIGURATION.replacen(from, to, usize::from(!from.is_empty()));
        let text = text.replace("SERVER", &self.slapd.url());
        self.world.configure(&text);
        text
    }

    fn postern(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new("timeout");
        command.arg("60").arg(binary()).args(arguments).args(["--config", "postern.toml"]);
        run(command.current_dir(self.world.dir()).env_remove("RUST_LOG"))
    }

    /// As typed, what it said, and how it exited.
    fn transcript(&self, arguments: &[&str]) -> String {
        let said = self.postern(arguments);
        let typed = arguments.iter().filter(|part| !AT.contains(part)).copied().collect::<Vec<_>>().join(" ");
        format!("$ postern {typed}\n{}exit {}\n\n", self.neutral(&said.text), said.code)
    }

    /// Without what differs from run to run.
    fn neutral(&self, text: &str) -> String {
        let folder = self.world.dir().canonicalize().unwrap();
        let text = text.replace(&format!("{}/", folder.display()), "").replace(&self.slapd.url(), "SERVER");
        golden::without_milliseconds(&text)
    }
}

fn held(differences: impl IntoIterator<Item = Option<String>>) {
    let failures: Vec<String> = differences.into_iter().flatten().collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_is_tried() {
    if !has(&["slapd", "slapadd"]) {
        return;
    }
    let bed = Bed::new().await;
    bed.world.write("right", "carol-pw\n");
    bed.world.write("wrong", "open-sesame\n");
    bed.world.write("empty", "\n");
    // Nothing of the rest is there: a directory can be tried before the gateway can run.
    bed.world.remove("pki/server.key");
    bed.world.remove("pki/crl.pem");
    let questions: [&[&str]; 13] = [
        &["corporate"],
        &["corporate", "--certificate", "pki/alice.pem"],
        &["corporate", "--certificate", "pki/twin.pem"],
        &["corporate", "--certificate", "pki/nobody.pem"],
        &["corporate", "--user", "carol"],
        &["corporate", "--user", "carol", "--password-file", "right"],
        &["corporate", "--user", "carol", "--password-file", "wrong"],
        &["corporate", "--user", "carol", "--password-file", "empty"],
        &["corporate", "--user", "lee"],
        &["corporate", "--user", "mallory"],
        &["people", "--certificate", "pki/alice.pem"],
        &["people", "--user", "dave"],
        &["corprate"],
    ];
    let ask = |question: &&[&str]| bed.transcript(&[&["directory", "test"], *question, &AT].concat());
    let transcript: String = questions.iter().map(ask).collect();
    assert!(!transcript.contains("carol-pw") && !transcript.contains("open-sesame"), "{transcript}");
    held([golden::differs("t10_directories/expected/test.txt", &transcript)]);

    let said = bed.postern(&["directory", "test", "corporate", "--certificate", "pki/alice.pem", "--json"]);
    let report: Value = serde_json::from_str(&said.text).unwrap();
    assert_eq!(report["verdict"]["outcome"], "accepted");
    assert_eq!(report["verdict"]["user_id"], "alice");
    assert_eq!(report["certificate"]["{sn:HEX}"], "0A");
    assert_eq!(report["findings"][0]["state"], "fine");
    assert_eq!(report["steps"][0]["asked"], "(&(objectClass=cacPerson)(caccn=DOE.ALICE.A.1234567890)(cacserial=0A))");
    assert_eq!(report["steps"][0]["server"], bed.slapd.url());
    assert_eq!(report["steps"][0]["found"]["entry"]["attributes"]["mail"][0], "alice@example.mil");
}

/// Each with the place of its setting, and what would be right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_server_is_said() {
    if !has(&["slapd", "slapadd"]) {
        return;
    }
    let bed = Bed::new().await;
    bed.world.write("wrong.secret", "no\n");
    let mut transcript = bed.transcript(&["check", "--connect"]);
    for (from, to) in [
        ("ldap.secret", "wrong.secret"),
        ("pki/directory-ca.pem", "pki/ca.pem"),
        ("ou=cards,dc", "ou=cadrs,dc"),
        ("(!(caccn=*))", "(!(cacnn=*))"),
        ("\"SERVER\"", "\"ldaps://127.0.0.1:1\", \"SERVER\""),
        ("cn=gateway,ou", "cn=getaway,ou"),
    ] {
        bed.configure(from, to);
        transcript.push_str(&format!("# {to}\n"));
        transcript.push_str(&bed.transcript(&["check", "--connect"]));
        transcript
            .push_str(&bed.transcript(&[&["directory", "test", "corporate", "--user", "carol"], &AT[..]].concat()));
    }
    // Without errors only.
    bed.configure("smtp_auth = \"required\"", "smtp_auth = \"requierd\"");
    transcript.push_str(&bed.transcript(&["check", "--connect"]));
    held([golden::differs("t10_directories/expected/check.txt", &transcript)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_is_looked_up_before_the_rule_goes_live() {
    if !has(&["slapd", "slapadd"]) {
        return;
    }
    let bed = Bed::new().await;
    let audit = ["directory", "audit", "corporate", "--trust", "test"];
    let ask = |more: &[&str]| bed.transcript(&[&audit, more, &AT].concat());
    let transcript = [
        ask(&[]),
        ask(&["--filter", "(uid=alice)"]),
        ask(&["--expiring", "7d", "--filter", "(|(uid=bob)(uid=nina)(uid=dora)(uid=eve))"]),
        ask(&["--filter", "(uid=alice"]),
        ask(&["--base", "ou=nowhere,dc=example,dc=test"]),
        ask(&["--csv", "-", "--json", "-"]),
        bed.transcript(&["directory", "audit", "people", "--trust", "test"]),
        bed.transcript(&["directory", "audit", "corporate", "--trust", "tset"]),
    ];
    let said = bed.postern(&[&audit[..], &AT, &["--csv", "report.csv", "--json", "report.json"]].concat());
    assert_eq!(said.code, 2, "{}", said.text);
    let csv = std::fs::read_to_string(bed.world.path("report.csv")).unwrap().replace("\r\n", "\n");
    let json: Value = serde_json::from_slice(&std::fs::read(bed.world.path("report.json")).unwrap()).unwrap();
    assert_eq!(json["people"].as_array().unwrap().len(), 14);
    assert_eq!((&json["totals"]["ambiguous"], &json["totals"]["not_held"]), (&2.into(), &1.into()));
    let of = |uid: &str| json["people"].as_array().unwrap().iter().find(|row| row["user_id"] == uid).unwrap();
    assert_eq!(of("nina")["certificates"].as_array().unwrap().len(), 2);
    assert_eq!(of("nina")["state"], "good");
    // One of the two streams may be standard output: the table makes way.
    let piped = bed.postern(&[&audit[..], &AT, &["--csv", "-"]].concat());
    assert!(piped.text.starts_with("user_id,state,attention"), "{}", piped.text);
    // No directory, no list: nothing is known.
    bed.world.remove("pki/crl.pem");
    let unknown = ask(&["--filter", "(uid=alice)"]);
    // Searches that no server takes: not everybody could be judged.
    bed.configure("(!(caccn=*))", "(!(cacnn=*))");
    let unanswered = ask(&["--filter", "(|(uid=lee)(uid=dora))"]);
    held([
        golden::differs("t10_directories/expected/audit.txt", &(transcript.concat() + &unknown + &unanswered)),
        golden::differs("t10_directories/expected/audit.csv", &csv),
    ]);
}

/// More people than a page and than an unpaged search is given.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_walk_of_many_pages() {
    if !has(&["slapd", "slapadd"]) {
        return;
    }
    let bed = Bed::new().await;
    bed.configure("ou=cards,dc", "dc");
    let said = bed.postern(&["directory", "audit", "corporate", "--trust", "test", "--filter", "(uid=bulk*)"]);
    assert!(said.code == 0 && said.text.contains("120  people; nobody needs attention"), "{}", said.text);
    // Whoever is in the bed has a certificate of a CA that this trust does not know.
    let said = bed.postern(&["directory", "audit", "corporate", "--trust", "test"]);
    assert!(said.code == 2 && said.text.contains("unknown issuer"), "{}", said.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explained_with_every_search() {
    if !has(&["slapd", "slapadd"]) {
        return;
    }
    let bed = Bed::new().await;
    let explain = ["explain", "--listener", "submission", "--client", "10.1.2.3"];
    let transcript = [
        bed.transcript(&[&explain[..], &["--certificate", "pki/alice.pem"]].concat()),
        bed.transcript(&[&explain[..], &["--certificate", "pki/nobody.pem", "--user", "carol"]].concat()),
        bed.transcript(&[&explain[..], &["--user", "lee"]].concat()),
    ];
    held([golden::differs("t10_directories/expected/explain.txt", &golden::without_now(&transcript.concat()))]);
}

/// A client with alice's certificate that is ready to send.
async fn ready(bed: &Bed, gateway: &Gateway) -> Client {
    let tls = bed.world.tls(Some("alice"));
    let mut client = Client::connect(gateway.address("submission"), Security::StartTls(&tls)).await.unwrap();
    client.ehlo().await.unwrap();
    client.starttls(&tls).await.unwrap();
    client.ehlo().await.unwrap();
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_running_gateway_is_asked() {
    if !has(&["slapd", "slapadd"]) {
        return;
    }
    let mut bed = Bed::new().await;
    let configuration = bed.configure("", "");
    for command in [&["directory", "status"][..], &["directory", "flush"]] {
        let said = bed.postern(command);
        assert!(said.code == 1 && said.text.contains("no gateway runs on"), "{}", said.text);
    }
    let gateway = bed.world.start(&configuration);
    let status = |bed: &Bed| -> Value {
        let said = bed.postern(&["directory", "status", "--json"]);
        serde_json::from_str(&said.text).unwrap_or_else(|error| panic!("{error}: {}", said.text))
    };
    for _ in 0..3 {
        let mut client = ready(&bed, &gateway).await;
        assert_eq!(client.mail("alice@example.mil").await.unwrap().code(), 250);
    }
    let rows = status(&bed);
    assert_eq!(rows[0]["name"], "corporate");
    assert_eq!(rows[0]["memory"], serde_json::json!({"entries": 1, "hits": 2, "misses": 1, "shared": 0}));
    assert_eq!((&rows[0]["servers"][0]["searches"], &rows[0]["servers"][0]["down"]), (&1.into(), &Value::Null));
    assert_eq!(rows[1]["people"], 10);

    let said = bed.postern(&["directory", "flush", "corporate"]);
    assert!(said.code == 0 && said.text.contains("forgotten: what was remembered of corporate"), "{}", said.text);
    assert_eq!(status(&bed)[0]["memory"]["entries"], 0);
    ready(&bed, &gateway).await;
    assert_eq!(status(&bed)[0]["memory"]["misses"], 2);
    assert!(bed.postern(&["directory", "flush"]).text.contains("corporate, people"));
    let said = bed.postern(&["directory", "flush", "nobody"]);
    assert!(said.code == 1 && said.text.contains("there are: corporate, people"), "{}", said.text);

    bed.slapd.kill();
    let mut client = ready(&bed, &gateway).await;
    assert_eq!(client.mail("alice@example.mil").await.unwrap().code(), 454);
    let said = bed.postern(&["directory", "status"]);
    assert!(said.code == 1 && said.text.contains("down for"), "{}", said.text);
    let down = &status(&bed)[0]["servers"][0]["down"];
    assert!(down["why"].as_str().unwrap().contains("Connection refused"), "{down}");
    bed.slapd.run();
    until("the server to be well again", async || {
        ready(&bed, &gateway).await;
        (bed.postern(&["directory", "status"]).code == 0).then_some(())
    })
    .await;
}

/// A server that is down delays no start, and the log says what is wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_its_directory() {
    if !has(&["slapd", "slapadd"]) {
        return;
    }
    let mut bed = Bed::new().await;
    let configuration = bed.configure("", "");
    bed.slapd.kill();
    let gateway = bed.world.start(&configuration);
    let line = gateway.wait_for_log("what is wrong with the directory server", |line| {
        line["level"] == "ERROR" && line["key"] == "servers" && line["directory"] == "corporate"
    });
    assert!(line["message"].as_str().unwrap().contains("Connection refused"), "{line}");
    assert!(line["mend"].as_str().unwrap().contains("nothing listens there"), "{line}");
}
