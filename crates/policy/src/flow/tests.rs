use super::*;
use std::ops::Range;

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
    assert_eq!(policy.sender, SenderBinding::OwnAddress);
    assert_eq!(policy.max_message_size, 25 * 1024 * 1024);
    assert_eq!(policy.max_recipients_per_message, 100);
    assert_eq!(policy.max_messages_per_connection, 100);
    assert_eq!(policy.max_connections_per_client, 20);
}

#[test]
fn every_setting_arrives() {
    let (policy, problems) = checked(
        "access = \"reject\"\ntls = \"required\"\nverify_client_certificate = true\nsmtp_auth = \"off\"\n\
         require_tls_to_offer_auth = false\nsender = \"own-domain\"\nmax_message_size = \"64KiB\"\n\
         max_recipients_per_message = 1\nmax_messages_per_connection = 2\nmax_connections_per_client = 3\n",
    );
    assert_eq!(problems, []);
    assert_eq!(policy.access, Access::Reject);
    assert_eq!(policy.tls, TlsRule::Required);
    assert!(policy.verify_client_certificate);
    assert_eq!(policy.smtp_auth, SmtpAuth::Off);
    assert!(!policy.require_tls_to_offer_auth);
    assert_eq!(policy.sender, SenderBinding::OwnDomain);
    assert_eq!(policy.max_message_size, 65_536);
    let limits =
        (policy.max_recipients_per_message, policy.max_messages_per_connection, policy.max_connections_per_client);
    assert_eq!(limits, (1, 2, 3));
}

#[test]
fn every_word_is_known() {
    for (key, words) in [
        ("access", &["relay", "reject", "refuse"][..]),
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
        ("access = \"allow\"", "expected one of `relay`, `reject`, `refuse`"),
        ("access = \"Relay\"", "unknown variant `Relay`"),
        ("access = \"relay\"\ntls = \"on\"", "expected one of `off`, `preferred`, `required`"),
        ("access = \"relay\"\ntls = true", "tls"),
        ("access = \"relay\"\nsmtp_auth = \"yes\"", "expected one of `off`, `preferred`, `required`"),
        ("access = \"relay\"\nsender = \"own_address\"", "expected one of `own-address`, `own-domain`, `any`"),
        ("access = \"relay\"\nverify_client_certificate = \"true\"", "expected a boolean"),
        ("access = \"relay\"\nverify_client_cert = true", "unknown field `verify_client_cert`"),
        ("access = \"relay\"\nmax_message_size = \"large\"", "max_message_size"),
        ("access = \"relay\"\nmax_message_size = 65536", "expected a string"),
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
                max_messages_per_connection = 0\nmax_connections_per_client = 0\n";
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
