use super::*;

fn settings(text: &str) -> Result<ForwardSettings, String> {
    toml::from_str(text).map_err(|error| error.message().to_owned())
}

fn forward(text: &str) -> Result<Forward, Vec<SettingFault>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Forward::open("mx", &settings(text).unwrap(), &Domain::parse("gateway.example.org").unwrap(), &provider)
}

/// Where nothing needs authorities.
fn of_domains(domains: &str) -> Forward {
    forward(&format!("servers = ['smtp://localhost']\nstarttls = false\ndomains = {domains}")).unwrap()
}

#[test]
fn defaults_are_the_strict_ones() {
    let settings = settings("servers = ['smtps://mx1.example.org', 'smtp://mx2.example.org:587']").unwrap();
    assert_eq!(settings.faults(), []);
    assert_eq!(*settings.order.get_ref(), Order::Failover);
    assert!(*settings.starttls.get_ref() && !*settings.allow_plaintext.get_ref());
    assert_eq!(settings.timeout.get_ref().0.as_secs(), 15);
    assert_eq!(settings.in_clear_text(), None);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    // Without authorities on this system there is nothing to be strict with.
    if let Ok(tls) = settings.tls(&provider) {
        assert!(tls.iter().all(|tls| matches!(tls, client::Tls::Must(_))), "{tls:?}");
    }
}

#[test]
fn unreadable_settings_say_what_would_be_right() {
    for (text, says) in [
        ("", "missing field `servers`"),
        ("servers = ['mx.example.org']", "write \"smtps://mx1.example.org\""),
        ("servers = ['ldap://mx.example.org']", "the scheme is smtp or smtps"),
        ("servers = ['smtps://mx']\norder = 'random'", "expected `failover` or `balance`"),
        ("servers = ['smtps://mx']\ntimeout = 'soon'", "soon"),
        ("servers = ['smtps://mx']\ndomains = ['a b']", "no mail domain such as \"example.org\""),
        ("servers = ['smtps://mx']\npassword = 'x'", "unknown field `password`"),
    ] {
        let error = settings(text).unwrap_err();
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn settings_that_cannot_be_meant() {
    for (text, key, says) in [
        ("servers = []", "servers", "there are 0"),
        (
            "servers = ['smtps://mx', 'smtp://192.0.2.1']\nstarttls = false",
            "starttls",
            "in clear text to smtp://192.0.2.1:587",
        ),
        ("servers = ['smtps://mx']\nstarttls = true", "starttls", "STARTTLS is for smtp://"),
        ("servers = ['smtp://[::1]']\nstarttls = false\nca = 'x.pem'", "ca", "no server is asked inside TLS"),
        (
            "servers = ['smtp://[::1]']\nstarttls = false\nclient_certificate = { certificate = 'a', key = 'b' }",
            "client_certificate",
            "no server is asked inside TLS",
        ),
        ("servers = ['smtp://mx']\ntimeout = '0s'", "timeout", "60s at most"),
        ("servers = ['smtp://mx']\ntimeout = '61s'", "timeout", "60s at most"),
        ("servers = ['smtp://mx']\nconnections = 0", "connections", "1 to 64"),
        ("servers = ['smtp://mx']\nconnections = 65", "connections", "1 to 64"),
        ("servers = ['smtp://mx']\nca = '/nonexistent.pem'", "ca", "cannot read /nonexistent.pem"),
        ("servers = ['smtp://mx']\nca = '/dev/null'", "ca", "no CERTIFICATE block"),
    ] {
        let found = forward(text).unwrap_err();
        let [one] = found.as_slice() else { panic!("{text}: {found:?}") };
        assert!(one.key == key && one.text.contains(says) && !one.mend.is_empty(), "{text}: {one:?}");
        assert!(text.contains(&format!("{key} = {}", &text[one.span.clone()])), "{text}: {one:?}");
    }
    let many = format!("servers = [{}]", "'smtps://mx', ".repeat(17));
    assert!(forward(&many).unwrap_err()[0].text.contains("there are 17"));
}

#[test]
fn what_an_administrator_should_look_at() {
    let notes = |text: &str| forward(text).unwrap().notes().join("\n");
    assert_eq!(notes("servers = ['smtp://localhost']\nstarttls = false\ndomains = ['example.org']"), "");
    let clear = "servers = ['smtp://mx']\nstarttls = false\nallow_plaintext = true";
    assert!(notes(clear).contains("clear text to smtp://mx:587"));
    assert!(notes(clear).contains("without `domains` nobody has an address"));
}

#[test]
fn who_a_user_is() {
    let two = of_domains("['example.org', 'example.net']");
    let none = of_domains("[]");
    for (forward, user, user_id, address) in [
        (&two, "alice", "alice", "alice@example.org"),
        (&two, "alice@example.org", "alice", "alice@example.org"),
        (&two, "Alice@EXAMPLE.ORG", "alice", "Alice@EXAMPLE.ORG"),
        (&two, "alice@example.net", "alice@example.net", "alice@example.net"),
        // A server that looks at what stands before the @ only would take these from alice.
        (&two, "alice@example.com", "alice@example.com", ""),
        (&two, "alice@sub.example.org", "alice@sub.example.org", ""),
        (&two, "alice@example.org@example.com", "alice@example.org@example.com", ""),
        (&two, "DOMAIN\\alice", "domain\\alice", ""),
        (&two, "\"a b\"@example.org", "\"a b\"@example.org", "\"a b\"@example.org"),
        (&two, "a b", "a b", ""),
        (&two, "<alice", "<alice", ""),
        (&two, "jörg", "jörg", "jörg@example.org"),
        (&none, "alice", "alice", ""),
        (&none, "alice@example.org", "alice@example.org", ""),
    ] {
        let principal = forward.principal(user).unwrap();
        assert_eq!(principal.user_id, user_id, "{user}");
        let addresses: Vec<String> = principal.addresses.iter().map(ToString::to_string).collect();
        let expected: Vec<&str> = Some(address).filter(|address| !address.is_empty()).into_iter().collect();
        let same = |(one, two): (&String, &&str)| one.eq_ignore_ascii_case(two);
        assert!(
            addresses.len() == expected.len() && addresses.iter().zip(&expected).all(same),
            "{user}: {addresses:?}"
        );
    }
    let long = "a".repeat(MAX_USER + 1);
    for user in ["", " ", " alice", "alice ", "alice\r\n", "alice\0", "a\nb", "a\u{85}b", "\u{7f}", long.as_str()] {
        assert_eq!(two.principal(user), None, "{user:?}");
    }
}

#[test]
fn in_order_and_in_turn() {
    let servers = "servers = ['smtp://127.0.0.1', 'smtp://127.0.0.2', 'smtp://127.0.0.3']\nstarttls = false";
    let first = |forward: &Forward| {
        let all: Vec<_> = forward.in_order().collect();
        assert_eq!(all.len(), 3);
        forward.servers.iter().position(|server| Arc::ptr_eq(server, all[0])).unwrap()
    };
    let failover = forward(servers).unwrap();
    assert_eq!([first(&failover), first(&failover)], [0, 0]);
    let balance = forward(&format!("{servers}\norder = 'balance'")).unwrap();
    assert_eq!([first(&balance), first(&balance), first(&balance), first(&balance)], [0, 1, 2, 0]);
}
