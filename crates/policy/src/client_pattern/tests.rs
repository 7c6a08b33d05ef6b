use super::*;
use proptest::prelude::*;

#[test]
fn addresses_networks_and_ranges() {
    let cases = [
        // pattern, client, held
        ("192.0.2.7", "192.0.2.7", true),
        ("192.0.2.7", "192.0.2.8", false),
        ("10.0.0.0/8", "10.255.255.255", true),
        ("10.0.0.0/8", "11.0.0.0", false),
        ("192.0.2.0/31", "192.0.2.1", true),
        ("192.0.2.0/31", "192.0.2.2", false),
        ("192.0.2.7/32", "192.0.2.7", true),
        ("0.0.0.0/0", "203.0.113.9", true),
        ("0.0.0.0/0", "2001:db8::1", false), // the other family has its own
        ("::/0", "2001:db8::1", true),
        ("::/0", "203.0.113.9", false),
        ("2001:db8::/32", "2001:db8:ffff::1", true),
        ("2001:db8::/32", "2001:db9::1", false),
        ("2001:db8::1", "2001:db8::1", true),
        ("2001:DB8::1", "2001:db8:0:0::1", true),
        ("::1", "::1", true),
        ("::1", "127.0.0.1", false),
        // Clients of a dual-stack socket.
        ("192.0.2.7", "::ffff:192.0.2.7", true),
        ("10.0.0.0/8", "::ffff:10.1.2.3", true),
        ("10.0.0.0/8", "::ffff:11.1.2.3", false),
        ("::/0", "::ffff:10.1.2.3", false), // it is an IPv4 client
        // A pattern that is written so.
        ("::ffff:192.0.2.7", "192.0.2.7", true),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.7", true),
        // Not mapped: the deprecated IPv4-compatible form is IPv6.
        ("192.0.2.7", "::192.0.2.7", false),
        ("10.0.0.1-10.0.0.20", "10.0.0.1", true),
        ("10.0.0.1-10.0.0.20", "10.0.0.20", true),
        ("10.0.0.1-10.0.0.20", "::ffff:10.0.0.7", true),
        ("10.0.0.1-10.0.0.20", "10.0.0.0", false),
        ("10.0.0.1-10.0.0.20", "10.0.0.21", false),
        ("10.0.0.250-10.0.1.5", "10.0.1.0", true),
        ("::ffff:10.0.0.1-::ffff:10.0.0.2", "10.0.0.2", true),
        ("2001:db8::1-2001:db8::ff", "2001:db8::a0", true),
        ("2001:db8::1-2001:db8::ff", "2001:db8::100", false),
        ("0.0.0.0-255.255.255.255", "2001:db8::1", false),
    ];
    for (pattern, client, held) in cases {
        let parsed: ClientPattern = pattern.parse().unwrap();
        assert_eq!(parsed.holds(&Client::unnamed(client.parse().unwrap())), held, "{pattern} holds {client}");
    }
}

#[test]
fn a_mapped_network_holds_the_ipv4_clients_it_means() {
    let pattern: ClientPattern = "::ffff:10.0.0.0/104".parse().unwrap();
    assert_eq!(pattern, "10.0.0.0/8".parse().unwrap());
    assert_eq!("::ffff:0:0/96".parse::<ClientPattern>().unwrap(), "0.0.0.0/0".parse().unwrap());
    let error = "::ffff:10.1.2.3/104".parse::<ClientPattern>().unwrap_err().to_string();
    assert!(error.contains("did you mean 10.0.0.0/8?"), "{error}");
    for (client, held) in [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("11.1.2.3", false), ("2001:db8::1", false)] {
        assert_eq!(
            pattern.holds(&Client::unnamed(client.parse().unwrap())),
            held,
            "::ffff:10.0.0.0/104 holds {client}"
        );
    }
}

#[test]
fn what_is_no_pattern_says_what_would_be() {
    for text in [
        "",
        " ",
        "localhost",
        ".",
        "example.mil.",
        "exa mple.mil",
        "*.example.mil",
        "@example.mil",
        "bücher.example",
        "10.0.0",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/",
        "/8",
        "10.0.0.256",
        "10.0.0.0/255.0.0.0",
        "10.0.0.1-",
        "-10.0.0.1",
        "10.0.0.1-10.0.0.2-10.0.0.3",
        "10.0.0.0/8-10.0.0.2",
        "10.*",
        "2001:db8::/129",
        "2001:db8::/32/8",
        "[2001:db8::1]",
        "fe80::1%eth0",
        " 10.0.0.0/8",
        "10.0.0.0/8 ",
        "010.0.0.1",
    ] {
        let error = text.parse::<ClientPattern>().unwrap_err().to_string();
        assert!(error.starts_with(&format!("{text:?}")), "{error}");
        assert!(error.contains("2001:db8::/32, mail.example.mil or .example.mil"), "{error}");
        assert!(text.parse::<AddressRange>().unwrap_err().to_string().contains("or 2001:db8::/32"), "{error}");
    }
}

#[test]
fn host_bits_are_taken_for_a_typing_error() {
    for (text, meant) in [
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("192.0.2.1/31", "192.0.2.0/31"),
        ("10.0.0.1/0", "0.0.0.0/0"),
        ("2001:db8::1/32", "2001:db8::/32"),
        ("::1/127", "::/127"),
    ] {
        let error = text.parse::<ClientPattern>().unwrap_err().to_string();
        assert!(error.contains(&format!("did you mean {meant}?")), "{error}");
        assert!(meant.parse::<ClientPattern>().is_ok());
    }
}

#[test]
fn ranges_that_are_meant_otherwise_say_so() {
    for (text, mend) in [
        ("10.0.0.1-20", "did you mean 10.0.0.1-10.0.0.20?"),
        ("2001:db8::1-ff", "did you mean 2001:db8::1-2001:db8::ff?"),
        ("10.0.0.20-10.0.0.1", "did you mean 10.0.0.1-10.0.0.20?"),
        ("10.0.0.1-2001:db8::1", "a range is of one family"),
        ("10.0.0.1-300", "write 192.0.2.7"),
    ] {
        let error = text.parse::<ClientPattern>().unwrap_err().to_string();
        assert!(error.contains(mend), "{error}");
    }
}

#[test]
fn host_names_and_what_lies_below_them() {
    let named = |name: &str| Client {
        address: "192.0.2.1".parse().unwrap(),
        naming: crate::client::Naming::Confirmed(vec![HostName::parse(name).unwrap()]),
    };
    for (pattern, name, held) in [
        ("mail.example.mil", "mail.example.mil", true),
        ("MAIL.example.mil", "mail.EXAMPLE.mil", true),
        ("mail.example.mil", "a.mail.example.mil", false),
        ("mail.example.mil", "example.mil", false),
        (".example.mil", "mail.example.mil", true),
        (".example.mil", "a.b.example.mil", true),
        (".example.mil", "example.mil", false),
        (".example.mil", "notexample.mil", false),
        (".mil", "example.mil", true),
        ("1.0.0.10.in-addr.arpa", "1.0.0.10.in-addr.arpa", true),
        ("3com.example", "3com.example", true),
        ("mail-10.0.0.example.mil", "mail-10.0.0.example.mil", true),
    ] {
        let parsed: ClientPattern = pattern.parse().unwrap();
        assert_eq!(parsed.holds(&named(name)), held, "{pattern} {name}");
        assert!(!parsed.holds(&Client::unnamed("192.0.2.1".parse().unwrap())), "{pattern} without a name");
    }
}

#[test]
fn patterns_display_as_they_are_read() {
    for (text, shown) in [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7/32", "192.0.2.7"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("10.0.0.0-10.255.255.255", "10.0.0.0/8"),
        ("10.0.0.1-10.0.0.20", "10.0.0.1-10.0.0.20"),
        ("10.0.0.0-10.0.0.2", "10.0.0.0-10.0.0.2"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("::/0", "::/0"),
        ("2001:db8::1-2001:db8::ff", "2001:db8::1-2001:db8::ff"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("Mail.Example.MIL", "mail.example.mil"),
        (".Example.MIL", ".example.mil"),
    ] {
        let pattern: ClientPattern = text.parse().unwrap();
        assert_eq!(pattern.to_string(), shown);
        assert_eq!(shown.parse::<ClientPattern>().unwrap(), pattern);
    }
}

proptest! {
    #[test]
    fn reading_never_panics(text in ".{0,60}") {
        let _ = text.parse::<ClientPattern>();
    }

    #[test]
    fn reading_what_is_almost_a_range_never_panics(text in "[0-9a-f.:/-]{0,40}") {
        if let Ok(pattern) = text.parse::<ClientPattern>() {
            prop_assert_eq!(pattern.to_string().parse::<ClientPattern>().unwrap(), pattern);
        }
    }

    /// Covered means that every address is in one of the others.
    #[test]
    fn covering_is_holding_each_address(
        ranges in proptest::collection::vec((0_u8..24, 0_u8..8), 0..5), first in 0_u8..24, more in 0_u8..8,
    ) {
        let range = |first: u8, more: u8| format!("10.0.0.{first}-10.0.0.{}", first + more).parse::<AddressRange>().unwrap();
        let others: Vec<AddressRange> = ranges.iter().map(|(first, more)| range(*first, *more)).collect();
        let all = (first..=first + more)
            .all(|host| others.iter().any(|other| other.holds(IpAddr::from([10, 0, 0, host]))));
        prop_assert_eq!(range(first, more).is_covered_by(others), all);
    }
}
