//! The configuration is tested material: what is shipped loads, and what is wrong is told with its place and mend.

use std::fs;
use std::path::Path;

use super::document::read;
use super::problem::{Place, Severity};
use super::settings::Settings;

const SHIPPED: &str = include_str!("../../../../etc/postern.toml");

fn problems(text: &str) -> Vec<String> {
    let place = Place::new(Path::new("postern.toml"), text);
    let mut problems = read::<Settings>(&place, text).problems;
    problems.sort_by_key(super::Problem::place);
    problems.iter().map(ToString::to_string).collect()
}

/// `#key = value` becomes `key = value`; sentences stay comments.
fn uncommented(text: &str) -> String {
    let is_setting = |line: &str| {
        let key: String = line.chars().take_while(|c| c.is_ascii_alphanumeric() || "_[].".contains(*c)).collect();
        !key.is_empty() && (key.starts_with('[') || line[key.len()..].starts_with(" = "))
    };
    let lines = text.lines().map(|line| match line.strip_prefix('#') {
        Some(rest) if is_setting(rest) => rest,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_shipped_configuration_is_well_formed() {
    assert_eq!(problems(SHIPPED), Vec::<String>::new());
    let place = Place::new(Path::new("postern.toml"), SHIPPED);
    let settings = read::<Settings>(&place, SHIPPED).settings.expect("settings");
    assert_eq!(settings.listener.len(), 2);
}

#[test]
fn its_commented_settings_exist_and_are_the_defaults() {
    let whole = uncommented(SHIPPED);
    assert_ne!(whole, SHIPPED);
    assert_eq!(problems(&whole), Vec::<String>::new());
    let parse = |text: &str| {
        let settings = read::<Settings>(&Place::new(Path::new("f"), text), text).settings.expect("settings");
        // Spans differ, values must not.
        let shown = format!("{settings:?}");
        let mut bare = String::new();
        let mut rest = shown.as_str();
        while let Some(at) = rest.find("span: ") {
            bare.push_str(&rest[..at]);
            rest = rest[at..].split_once(", value").map_or("", |(_, rest)| rest);
        }
        bare + rest
    };
    // An example that others stand below is taken as it is; what else is no default stays commented here.
    let bases = [
        "#[directory.corporate",
        "#kind = ",
        "#servers",
        "#bind_dn",
        "#bind_password_file",
        "#base = ",
        "#filter = \"(&(objectClass",
        "#filter = \"(|(mail",
    ];
    let examples = [
        "#client_certificate",
        "#hello = ",
        "#maildir = ",
        "#identity_key = ",
        "#auth = ",
        "#[dkim.",
        "#[tls_reports]",
        "#organization",
        "#from = \"tls-reports",
        "#contact",
        "#domains = [\"example.mil\"]",
        "#selector",
        "#key = \"/etc/postern/dkim",
        "#scram_attribute",
        "#introspection",
        "#allowance",
        "#[directory.people.certificate_query]",
        "#filter = \"(&(caccn",
        "#secondary",
        "#schedule",
        "#[[ocsp.responder]]",
        "#url",
        "#trust",
        "#issuer",
        "#ca = ",
        "#require",
        "#on_mi",
        "#on_in",
        "#on_no_",
        "#banner",
        "#min_tls_version",
        "#tls_suites",
        "#reject_text",
        "#max_recipients_per_hour",
        "#subaddress_separator",
        "#recipients = ",
        "#max_connections = 500 ",
        "#directory = ",
        "#retry_interval = \"30s\"",
        "#max_retry_interval = \"15m\"",
        "#give_up_after = \"2d\"",
        "#double_bounce_to",
    ];
    let begins = |line: &str, with: &[&str]| with.iter().any(|start| line.starts_with(start));
    let shipped = SHIPPED.lines().filter(|line| !begins(line, &examples));
    let defaults: Vec<&str> =
        shipped.map(|line| if begins(line, &bases) { line.trim_start_matches('#') } else { line }).collect();
    let (commented, whole) = (parse(&defaults.join("\n")), parse(&uncommented(&defaults.join("\n"))));
    assert_eq!(commented, whole, "a commented setting is not the default");
}

#[test]
fn an_unknown_key_is_refused_in_every_table() {
    let whole = uncommented(SHIPPED);
    let lines: Vec<&str> = whole.lines().collect();
    let mut tables = 0;
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.starts_with('[')) {
        let mut mutated = lines.clone();
        mutated.insert(at + 1, "no_such_key = 1");
        let problems = problems(&mutated.join("\n"));
        assert!(
            problems.len() == 1 && problems[0].contains("unknown key `no_such_key`"),
            "under {line} the unknown key went unseen: {problems:#?}"
        );
        assert!(problems[0].starts_with(&format!("postern.toml:{}:1: ", at + 2)), "{}", problems[0]);
        tables += 1;
    }
    assert!(tables > 15, "only {tables} tables were tried");
    let inline = whole.replace("{ name = \"RELAYLIST\",", "{ name = \"RELAYLIST\", no_such_key = 1,");
    assert!(problems(&inline)[0].contains("unknown key `no_such_key`"));
}

#[test]
fn all_problems_are_told_at_once_with_place_key_and_mend() {
    let text = r#"hostname = "mail.example.mil"
state_dir = "/var/lib/postern"

[tls]
certficate = "a.pem"
key = "b.pem"

[policy.relayed]
acces = "relay"
tls = "requierd"
max_message_size = "many"

[[listener]]
name = "submission"
bind = ["127.0.0.1:587", "nowhere"]
tls = "starttls"
default_policy = "relayed"
"#;
    let expected = r#"postern.toml:4:1: error: tls: `certificate` is missing
  4 | [tls]
    | ^^^^^
  mend: add `certificate = …`
postern.toml:5:1: error: tls.certficate: unknown key `certficate`
  5 | certficate = "a.pem"
    | ^^^^^^^^^^
  mend: did you mean `certificate`? known here: certificate, key, min_version
postern.toml:8:1: error: policy.relayed: `access` is missing
  8 | [policy.relayed]
    | ^^^^^^^^^^^^^^^^
  mend: add `access = …`
postern.toml:9:1: error: policy.relayed.acces: unknown key `acces`
  9 | acces = "relay"
    | ^^^^^
  mend: did you mean `access`? known here: access, delayed_rejection, reject_text, banner, tls, tls_required_for_senders, min_tls_version, tls_suites, verify_client_certificate, smtp_auth, require_tls_to_offer_auth, sender, on_foreign_sender, from_header, on_foreign_from, null_sender, subaddress_separator, monitor, max_message_size, max_recipients_per_message, max_messages_per_connection, max_connections_per_client, max_recipients_per_hour, max_recipients_per_hour_per_identity, max_unknown_recipients_per_hour
postern.toml:10:7: error: policy.relayed.tls: unknown value `requierd`
  10 | tls = "requierd"
     |       ^^^^^^^^^^
  mend: did you mean `required`? known here: off, preferred, required
postern.toml:11:20: error: policy.relayed.max_message_size: "many" is not a size: write 512KiB or 25MiB
  11 | max_message_size = "many"
     |                    ^^^^^^
postern.toml:15:26: error: listener.bind: invalid socket address syntax
  15 | bind = ["127.0.0.1:587", "nowhere"]
     |                          ^^^^^^^^^
  mend: write an address with a port, such as 192.0.2.1:25 or [::]:587"#;
    assert_eq!(problems(text).join("\n"), expected);
}

#[test]
fn syntax_errors_are_told_with_their_place() {
    let found = problems("hostname = \"mail\nstate_dir = 1 2\n");
    assert!(found[0].starts_with("postern.toml:1:"), "{found:#?}");
}

#[test]
fn what_cannot_be_read_is_a_problem_and_not_a_panic() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("postern.toml");
    let told = |reading: super::Reading| {
        assert!(reading.configuration.is_none());
        assert!(reading.problems.iter().all(|problem| problem.severity == Severity::Error));
        reading.problems.iter().map(ToString::to_string).collect::<String>()
    };
    assert!(told(super::read(&file)).contains("No such file"));
    fs::write(&file, b"\xff\xfe").expect("written");
    assert!(told(super::read(&file)).contains("not UTF-8"));
    fs::write(&file, "").expect("written");
    let empty = told(super::read(&file));
    for key in ["hostname", "state_dir", "tls", "listener", "route"] {
        assert!(empty.contains(&format!("error: {key}: ")), "{empty}");
    }
}
