use super::*;
use crate::flow::PolicySettings;
use proptest::prelude::*;

fn policy(name: &str) -> Arc<MailFlowPolicy> {
    let settings: PolicySettings = toml::from_str("access = \"relay\"").unwrap();
    Arc::new(MailFlowPolicy::new(name, &settings, |_, message| panic!("{message}")))
}

fn groups(groups: &[(&str, &[&str])]) -> SenderGroups {
    let group = |(name, clients): &(&str, &[&str])| SenderGroup {
        name: (*name).into(),
        clients: clients.iter().map(|client| client.parse().unwrap()).collect(),
        policy: policy(name),
    };
    SenderGroups::new(groups.iter().map(group).collect(), policy("everybody else"))
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn patterns_are_addresses_and_networks() {
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
    ];
    for (pattern, client, held) in cases {
        let parsed: ClientPattern = pattern.parse().unwrap();
        assert_eq!(parsed.holds(address(client)), held, "{pattern} holds {client}");
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
        assert_eq!(pattern.holds(address(client)), held, "::ffff:10.0.0.0/104 holds {client}");
    }
}

#[test]
fn what_is_no_pattern_says_what_would_be() {
    for text in [
        "",
        " ",
        "localhost",
        ".example.mil",
        "example.mil",
        "10.0.0",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/",
        "/8",
        "10.0.0.256",
        "10.0.0.0/255.0.0.0",
        "10.0.0.1-10.0.0.9",
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
        assert!(error.contains("192.0.2.7, 10.0.0.0/8 or 2001:db8::/32"), "{error}");
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
fn settings_know_their_keys_and_where_things_stand() {
    let text = "name = \"RELAYLIST\"\nclients = [\"10.0.0.0/8\", \"192.0.2.7\"]\npolicy = \"relayed\"\n";
    let settings: SenderGroupSettings = toml::from_str(text).unwrap();
    assert_eq!(settings.name, "RELAYLIST");
    assert_eq!(settings.clients.len(), 2);
    assert_eq!(&text[settings.clients[1].span()], "\"192.0.2.7\"");
    assert_eq!(&text[settings.policy.span()], "\"relayed\"");

    for (text, complaint) in [
        ("name = \"A\"\nclients = []", "missing field `policy`"),
        ("name = \"A\"\npolicy = \"p\"", "missing field `clients`"),
        ("clients = []\npolicy = \"p\"", "missing field `name`"),
        ("name = \"A\"\nclients = []\npolicy = \"p\"\nport = 25", "unknown field `port`"),
        ("name = \"A\"\nclients = [\"10.1.2.3/8\"]\npolicy = \"p\"", "did you mean 10.0.0.0/8?"),
        ("name = \"A\"\nclients = \"10.0.0.0/8\"\npolicy = \"p\"", "expected a sequence"),
    ] {
        let error = toml::from_str::<SenderGroupSettings>(text).unwrap_err().to_string();
        assert!(error.contains(complaint), "{error} should say {complaint}");
    }
}

#[test]
fn the_first_group_that_holds_the_client_decides() {
    let groups = groups(&[
        ("printer", &["10.1.1.1"]),
        ("headquarters", &["10.1.0.0/16", "2001:db8:1::/48"]),
        ("agency", &["10.0.0.0/8", "2001:db8::/32"]),
        ("nobody", &[]),
        ("lost", &["10.1.2.0/24"]),
    ]);
    for (client, group) in [
        ("10.1.1.1", "printer"),
        ("::ffff:10.1.1.1", "printer"),
        ("10.1.1.2", "headquarters"),
        ("10.1.2.3", "headquarters"),
        ("2001:db8:1::25", "headquarters"),
        ("10.2.0.1", "agency"),
        ("2001:db8:2::1", "agency"),
        ("192.0.2.1", SenderGroups::DEFAULT),
        ("2001:db9::1", SenderGroups::DEFAULT),
        ("127.0.0.1", SenderGroups::DEFAULT),
    ] {
        let (name, policy) = groups.classify(address(client));
        assert_eq!(name, group, "{client}");
        let expected = if group == SenderGroups::DEFAULT { "everybody else" } else { group };
        assert_eq!(&*policy.name, expected, "{client}");
        assert_eq!(groups.is_default(policy), group == SenderGroups::DEFAULT, "{client}");
    }
}

#[test]
fn without_groups_everybody_gets_the_default_policy() {
    let groups = groups(&[]);
    assert_eq!(groups.classify(address("192.0.2.1")).0, SenderGroups::DEFAULT);
    assert_eq!(groups.policies().count(), 1);
    assert_eq!(groups.unreachable(), []);
}

#[test]
fn policies_are_all_that_a_client_can_get() {
    let groups = groups(&[("a", &["10.0.0.0/8"]), ("b", &["10.0.0.0/8"])]);
    let names: Vec<&str> = groups.policies().map(|policy| &*policy.name).collect();
    assert_eq!(names, ["a", "b", "everybody else"]);
}

#[test]
fn groups_behind_a_wider_one_are_unreachable() {
    type Groups<'g> = &'g [(&'g str, &'g [&'g str])];
    let cases: [(Groups<'_>, &[(&str, &str)]); 9] = [
        (&[("a", &["10.0.0.0/8"]), ("b", &["10.1.0.0/16"])], &[("b", "a")]),
        (&[("b", &["10.1.0.0/16"]), ("a", &["10.0.0.0/8"])], &[]),
        (&[("a", &["10.0.0.0/8"]), ("b", &["10.0.0.0/8"])], &[("b", "a")]),
        (&[("a", &["10.0.0.0/8"]), ("b", &["10.1.2.3"])], &[("b", "a")]),
        (&[("a", &["10.0.0.0/8"]), ("b", &["10.1.2.3", "192.0.2.1"])], &[]), // partly reachable
        (&[("a", &["10.0.0.0/8"]), ("b", &["192.0.2.0/24"]), ("c", &["192.0.2.1", "10.1.2.3"])], &[("c", "b")]),
        (&[("a", &["0.0.0.0/0"]), ("b", &["2001:db8::/32"])], &[]), // another family
        (&[("a", &["::/0"]), ("b", &["2001:db8::/32"]), ("c", &["10.0.0.0/8"])], &[("b", "a")]),
        (&[("a", &["10.0.0.0/8"]), ("b", &["::ffff:10.1.2.3"])], &[("b", "a")]), // mapped, so IPv4
    ];
    for (list, unreachable) in cases {
        assert_eq!(groups(list).unreachable(), unreachable, "{list:?}");
    }
}

#[test]
fn a_group_without_clients_has_nobody_before_it() {
    // Nothing holds all its clients, for it has none: another warning's business.
    assert_eq!(groups(&[("a", &["0.0.0.0/0"]), ("b", &[])]).unreachable(), []);
}

fn any_pattern() -> impl Strategy<Value = ClientPattern> {
    // Few bits, so that networks meet.
    let v4 = (0_u32..16, 28_u8..=32).prop_map(|(host, prefix)| {
        IpNet::new(IpAddr::from((0x0a00_0000 + host).to_be_bytes()), prefix).unwrap().trunc()
    });
    let v6 = (0_u128..16, 124_u8..=128).prop_map(|(host, prefix)| {
        IpNet::new(IpAddr::from((0x2001_0db8_u128 << 96 | host).to_be_bytes()), prefix).unwrap().trunc()
    });
    prop_oneof![v4, v6].prop_map(ClientPattern)
}

fn any_client() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0_u32..16).prop_map(|host| IpAddr::from((0x0a00_0000 + host).to_be_bytes())),
        (0_u128..16).prop_map(|host| IpAddr::from((0x2001_0db8_u128 << 96 | host).to_be_bytes())),
        (0_u128..16).prop_map(|host| IpAddr::from((0xffff_0a00_0000 + host).to_be_bytes())),
    ]
}

proptest! {
    #[test]
    fn what_displays_as_a_network_is_read_as_that_network(pattern in any_pattern()) {
        prop_assert_eq!(pattern.0.to_string().parse::<ClientPattern>().unwrap(), pattern);
    }

    #[test]
    fn reading_never_panics(text in ".{0,60}") {
        let _ = text.parse::<ClientPattern>();
    }

    #[test]
    fn classification_is_by_the_first_holder_and_unreachable_groups_get_nobody(
        patterns in proptest::collection::vec(proptest::collection::vec(any_pattern(), 0..3), 0..5),
        client in any_client(),
    ) {
        let default = policy("default");
        let groups: Vec<SenderGroup> = (0..)
            .zip(&patterns)
            .map(|(at, clients): (usize, _)| {
                SenderGroup { name: at.to_string().into(), clients: clients.clone(), policy: Arc::clone(&default) }
            })
            .collect();
        let groups = SenderGroups::new(groups, Arc::clone(&default));
        let first = patterns.iter().position(|clients| clients.iter().any(|pattern| pattern.holds(client)));
        let expected = first.map_or(SenderGroups::DEFAULT.to_owned(), |at| at.to_string());
        let (name, _) = groups.classify(client);
        prop_assert_eq!(name, &expected);
        for (unreachable, earlier) in groups.unreachable() {
            prop_assert_ne!(name, unreachable);
            prop_assert!(earlier.parse::<usize>().unwrap() < unreachable.parse::<usize>().unwrap());
        }
    }
}
