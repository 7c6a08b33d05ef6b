use super::*;
use std::ops::Range;
use std::time::Duration;

fn checked(text: &str) -> (MailFlowPolicy, Vec<(Range<usize>, String)>) {
    let settings: PolicySettings = toml::from_str(text).unwrap();
    let mut problems = Vec::new();
    let policy = MailFlowPolicy::new("relayed", &settings, |span, message| problems.push((span, message)));
    (policy, problems)
}

#[test]
fn defaults_are_the_careful_ones() {
    let (policy, problems) = checked("access = \"relay\"");
    assert_eq!(problems, []);
    assert_eq!(&*policy.name, "relayed");
    assert_eq!(policy.access, Access::Relay);
    assert_eq!(policy.tls, TlsRule::Preferred);
    assert!(!policy.verify_client_certificate);
    assert_eq!(policy.smtp_auth, SmtpAuth::Required);
    assert!(policy.require_tls_to_offer_auth);
    assert_eq!(policy.senders.sender, SenderBinding::OwnAddress);
    assert_eq!(policy.max_message_size, 25 * 1024 * 1024);
    assert_eq!(policy.max_recipients_per_message, 100);
    assert_eq!(policy.max_messages_per_connection, 100);
    assert_eq!(policy.max_connections_per_client, 20);
    assert_eq!((policy.max_recipients_per_hour, policy.max_recipients_per_hour_per_identity), (None, None));
    assert_eq!(policy.max_unknown_recipients_per_hour, 25);
    assert_eq!((policy.banner, policy.reject_text, policy.delayed_rejection), (None, None, false));
    assert_eq!((policy.min_tls_version, policy.tls_suites), (None, None));
    assert!(policy.tls_required_for_senders.is_empty());
}

#[test]
fn every_setting_arrives() {
    let (policy, problems) = checked(
        "access = \"reject\"\ntls = \"required\"\nverify_client_certificate = true\nsmtp_auth = \"off\"\n\
         require_tls_to_offer_auth = false\nsender = \"own-domain\"\nmax_message_size = \"64KiB\"\n\
         max_recipients_per_message = 1\nmax_messages_per_connection = 2\nmax_connections_per_client = 3\n\
         max_recipients_per_hour = 4\nmax_recipients_per_hour_per_identity = 5\nmax_unknown_recipients_per_hour = 6\n\
         delayed_rejection = true\nreject_text = \"Go away\"\nbanner = \"NO UCE\"\n\
         tls_required_for_senders = [\"@secret.example.mil\", \"a@example.mil\"]\n\
         min_tls_version = \"1.3\"\ntls_suites = [\"TLS_AES_256_GCM_SHA384\"]\nmonitor = [\"auth\", \"tls\", \"auth\"]\n",
    );
    assert_eq!(problems, []);
    assert_eq!(policy.access, Access::Reject);
    assert_eq!(policy.tls, TlsRule::Required);
    assert!(policy.verify_client_certificate);
    assert_eq!(policy.smtp_auth, SmtpAuth::Off);
    assert!(!policy.require_tls_to_offer_auth);
    assert_eq!(policy.senders.sender, SenderBinding::OwnDomain);
    assert_eq!(policy.max_message_size, 65_536);
    let limits =
        (policy.max_recipients_per_message, policy.max_messages_per_connection, policy.max_connections_per_client);
    assert_eq!(limits, (1, 2, 3));
    let hourly = (policy.max_recipients_per_hour, policy.max_recipients_per_hour_per_identity);
    assert_eq!((hourly, policy.max_unknown_recipients_per_hour), ((Some(4), Some(5)), 6));
    assert!(policy.delayed_rejection);
    assert_eq!(policy.monitor.iter().collect::<Vec<_>>(), [Rule::Tls, Rule::Auth]);
    let texts = [policy.reject_text, policy.banner].map(|text| text.unwrap().to_string());
    assert_eq!(texts, ["Go away", "NO UCE"]);
    let senders: Vec<String> = policy.tls_required_for_senders.iter().map(ToString::to_string).collect();
    assert_eq!(senders, ["secret.example.mil", "a@example.mil"]);
    assert_eq!(policy.min_tls_version, Some(MinVersion::Tls13));
    assert_eq!(policy.tls_suites.unwrap()[0].name(), "TLS_AES_256_GCM_SHA384");
}

/// Monitored for nothing: warned about, as whoever wrote it waits for something that never comes.
#[test]
fn rules_that_refuse_nobody_are_monitored_for_nothing() {
    let all = "monitor = [\"tls\", \"certificate\", \"auth\", \"sender\", \"recipients\", \"limits\"]\n";
    for (settings, idle) in [
        ("access = \"reject\"", "tls certificate auth sender recipients limits"),
        ("access = \"reject\"\ndelayed_rejection = true", "tls certificate auth recipients limits"),
        ("access = \"relay\"", "tls certificate recipients limits"),
        ("access = \"relay\"\ntls = \"required\"\nverify_client_certificate = true", "recipients limits"),
        ("access = \"relay\"\ntls_required_for_senders = [\"a.example\"]", "certificate recipients limits"),
        ("access = \"relay\"\nsmtp_auth = \"preferred\"", "tls certificate auth recipients limits"),
        ("access = \"relay\"\nsmtp_auth = \"off\"", "tls certificate auth recipients limits"),
        ("access = \"relay\"\nsender = \"any\"", "tls certificate sender recipients limits"),
        ("access = \"relay\"\nsender = \"any\"\nnull_sender = \"reject\"", "tls certificate recipients limits"),
        ("access = \"accept\"", "tls certificate"),
        ("access = \"relay\"\nmax_recipients_per_hour = 1", "tls certificate recipients"),
        ("access = \"relay\"\nmax_recipients_per_hour_per_identity = 1", "tls certificate recipients"),
    ] {
        let (policy, _) = checked(&format!("{settings}\n{all}"));
        let found: Vec<&str> = policy.idle_monitors().iter().map(Rule::name).collect();
        assert_eq!(found.join(" "), idle, "{settings}");
        let (policy, _) = checked(settings);
        assert_eq!(policy.idle_monitors(), Rules::default());
    }
    for (from_header, idle) in [("any", true), ("own-domain", false)] {
        let settings = format!("access = \"relay\"\nfrom_header = \"{from_header}\"\nmonitor = [\"from-header\"]");
        assert_eq!(checked(&settings).0.idle_monitors().contains(Rule::FromHeader), idle);
    }
}

/// The policy's rules, and the profile's allowance.
#[test]
fn what_is_tried_out() {
    use auth::{Mechanism, OnNotAllowed, PasswordRules, ProfileRules};
    let profile = |on_not_allowed| {
        let password = Some(PasswordRules { mechanisms: vec![Mechanism::Plain], on_not_allowed });
        ProfileRules { certificate: None, password, recheck_after: Duration::from_secs(300) }
    };
    let (reject, monitor) = (profile(OnNotAllowed::Reject), profile(OnNotAllowed::Monitor));
    for (settings, profile, expected) in [
        ("access = \"relay\"\nmonitor = [\"auth\"]", None, &[Rule::Auth][..]),
        ("access = \"relay\"\nmonitor = [\"auth\"]", Some(&reject), &[Rule::Auth]),
        ("access = \"relay\"\nmonitor = [\"auth\"]", Some(&monitor), &[Rule::Auth, Rule::Allowance]),
        ("access = \"relay\"\nsmtp_auth = \"off\"", Some(&monitor), &[]),
        ("access = \"reject\"", Some(&monitor), &[]),
        ("access = \"relay\"", Some(&monitor), &[Rule::Allowance]),
    ] {
        let found: Vec<Rule> = checked(settings).0.tried_out(profile).iter().collect();
        assert_eq!(found, expected, "{settings}");
    }
}

#[test]
fn what_does_not_go_together_is_reported_where_it_stands() {
    for (text, place, complaint) in [
        ("access = \"relay\"\nmonitor = [\"tls\", \"allowance\"]", "[\"tls\", \"allowance\"]", "write on_not_allowed"),
        ("access = \"relay\"\ndelayed_rejection = true", "true", "write access = \"reject\""),
        ("access = \"accept\"\nreject_text = \"No\"", "\"No\"", "reject_text is never said"),
        (
            "access = \"relay\"\ntls = \"off\"\ntls_required_for_senders = [\"example.mil\"]",
            "[\"example.mil\"]",
            "write tls = \"preferred\"",
        ),
        ("access = \"relay\"\ntls_suites = []", "[]", "add TLS_AES_256_GCM_SHA384"),
        (
            "access = \"relay\"\nmin_tls_version = \"1.3\"\ntls_suites = [\"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384\"]",
            "[\"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384\"]",
            "none of the versions spoken",
        ),
    ] {
        let (_, problems) = checked(text);
        assert_eq!(problems.len(), 1, "{text}: {problems:?}");
        assert_eq!(&text[problems[0].0.clone()], place);
        assert!(problems[0].1.contains(complaint), "{problems:?}");
    }
    for text in [
        "access = \"reject\"\ndelayed_rejection = true\nreject_text = \"No\"",
        "access = \"relay\"\ntls = \"required\"\ntls_required_for_senders = [\".example.mil\"]",
        "access = \"relay\"\ntls_suites = [\"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384\", \"TLS_AES_128_GCM_SHA256\"]",
    ] {
        assert_eq!(checked(text).1, [], "{text}");
    }
}

#[test]
fn some_policies_serve_nobody() {
    for (text, serves) in [
        ("access = \"relay\"", true),
        ("access = \"accept\"", true),
        ("access = \"reject\"", false),
        ("access = \"reject\"\ndelayed_rejection = true", true),
        ("access = \"refuse\"", false),
    ] {
        assert_eq!(checked(text).0.serves(), serves, "{text}");
    }
}

#[test]
fn every_word_is_known() {
    for (key, words) in [
        ("access", &["relay", "accept", "reject", "refuse"][..]),
        ("tls", &["off", "preferred", "required"]),
        ("smtp_auth", &["off", "preferred", "required"]),
        ("sender", &["own-address", "own-domain", "any"]),
    ] {
        for word in words {
            let access = if key == "access" { "" } else { "access = \"relay\"\n" };
            toml::from_str::<PolicySettings>(&format!("{access}{key} = \"{word}\"")).unwrap();
        }
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (text, complaint) in [
        ("", "missing field `access`"),
        ("access = \"allow\"", "expected one of `relay`, `accept`, `reject`, `refuse`"),
        ("access = \"Relay\"", "unknown variant `Relay`"),
        ("access = \"relay\"\ntls = \"on\"", "expected one of `off`, `preferred`, `required`"),
        ("access = \"relay\"\ntls = true", "tls"),
        ("access = \"relay\"\nsmtp_auth = \"yes\"", "expected one of `off`, `preferred`, `required`"),
        ("access = \"relay\"\nsender = \"own_address\"", "expected one of `own-address`, `own-domain`, `any`"),
        ("access = \"relay\"\nverify_client_certificate = \"true\"", "expected a boolean"),
        ("access = \"relay\"\nverify_client_cert = true", "unknown field `verify_client_cert`"),
        ("access = \"relay\"\nmax_message_size = \"large\"", "max_message_size"),
        ("access = \"relay\"\nmax_message_size = 65536", "expected a string"),
        ("access = \"relay\"\nbanner = \"\"", "an empty reply text"),
        (
            "access = \"reject\"\nreject_text = \"a\\r\\nb\"",
            "'\\r' can't stand in a reply: write one line of printable ASCII",
        ),
        ("access = \"reject\"\nreject_text = \"Kein Zutritt für Sie\"", "'ü' can't stand in a reply"),
        ("access = \"relay\"\nmin_tls_version = \"1.1\"", "expected `1.2` or `1.3`"),
        ("access = \"relay\"\ntls_suites = [\"TLS_RSA_WITH_RC4_128_MD5\"]", "expected one of `TLS_AES_256_GCM_SHA384`"),
        ("access = \"relay\"\ntls_required_for_senders = [\"*\"]", "write alice@example.mil, example.mil or"),
        ("access = \"relay\"\nmax_recipients_per_hour = \"500\"", "max_recipients_per_hour"),
        ("access = \"relay\"\nmax_recipients_per_message = -1", "max_recipients_per_message"),
        ("access = \"relay\"\nmax_recipients_per_message = 4294967296", "max_recipients_per_message"),
    ] {
        let error = toml::from_str::<PolicySettings>(text).unwrap_err().to_string();
        assert!(error.contains(complaint), "{text:?}: {error} should say {complaint}");
    }
}

#[test]
fn limits_that_let_nothing_through_are_reported_all_at_once_where_they_stand() {
    let text = "access = \"relay\"\nmax_message_size = \"63KiB\"\nmax_recipients_per_message = 0\n\
                max_messages_per_connection = 0\nmax_connections_per_client = 0\n\
                max_unknown_recipients_per_hour = 0\nmax_recipients_per_hour = 0\n\
                max_recipients_per_hour_per_identity = 0\n";
    let (_, problems) = checked(text);
    let found: Vec<(&str, &str)> =
        problems.iter().map(|(span, message)| (&text[span.clone()], message.as_str())).collect();
    assert_eq!(
        found,
        [
            ("\"63KiB\"", "max_message_size must be at least 64KiB (RFC 5321 section 4.5.3.1.7)"),
            ("0", "max_recipients_per_message must be at least 1"),
            ("0", "max_messages_per_connection must be at least 1"),
            ("0", "max_connections_per_client must be at least 1"),
            ("0", "max_unknown_recipients_per_hour must be at least 1"),
            ("0", "max_recipients_per_hour must be at least 1"),
            ("0", "max_recipients_per_hour_per_identity must be at least 1"),
        ]
    );
    let starts: Vec<usize> = problems.iter().map(|(span, _)| span.start).collect();
    assert!(starts.windows(2).all(|pair| pair[0] < pair[1]), "{starts:?}");
}

#[test]
fn the_smallest_sound_limits_pass() {
    let text = "access = \"relay\"\nmax_message_size = \"64KiB\"\nmax_recipients_per_message = 1\n\
                max_messages_per_connection = 1\nmax_connections_per_client = 1\n";
    assert_eq!(checked(text).1, []);
    for (size, bytes) in [("65536", 65_536), ("64 KiB", 65_536), ("1MiB", 1 << 20), ("1MB", 1_000_000)] {
        let (policy, problems) = checked(&format!("access = \"relay\"\nmax_message_size = \"{size}\""));
        assert_eq!((policy.max_message_size, problems), (bytes, Vec::new()), "{size}");
    }
}

#[test]
fn reply_texts_have_a_length() {
    let text = |length: usize| checked_text(&"x".repeat(length));
    assert_eq!(text(200).unwrap().as_str(), "x".repeat(200));
    assert_eq!(text(201), Err("201 characters are too long for a reply: write at most 200".to_owned()));
}

fn checked_text(text: &str) -> Result<ReplyText, String> {
    ReplyText::try_from(text.to_owned())
}

/// As the library of TLS and the log name them.
#[test]
fn suites_have_a_version() {
    for (name, version) in [
        ("TLS_AES_128_GCM_SHA256", MinVersion::Tls13),
        ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", MinVersion::Tls12),
    ] {
        let (policy, _) =
            checked(&format!("access = \"relay\"\ntls_suites = [\"{name}\", \"TLS_AES_256_GCM_SHA384\"]"));
        let suite = policy.tls_suites.unwrap()[0];
        assert_eq!((suite.name(), suite.version()), (name, version));
    }
}
