use super::*;
use crate::client::{HostName, Naming};
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

fn client(text: &str) -> Client {
    Client::unnamed(address(text))
}

fn named(address: &str, names: &[&str]) -> Client {
    let names = names.iter().map(|name| HostName::parse(name).unwrap()).collect();
    Client { address: address.parse().unwrap(), naming: Naming::Confirmed(names) }
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
    for (address, group) in [
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
        let classified = groups.classify(&client(address));
        assert_eq!(classified.group, group, "{address}");
        let expected = if group == SenderGroups::DEFAULT { "everybody else" } else { group };
        assert_eq!(&*classified.policy.name, expected, "{address}");
        assert_eq!(groups.is_for_everybody(classified.policy), group == SenderGroups::DEFAULT, "{address}");
        assert_eq!(classified.entry.is_none(), group == SenderGroups::DEFAULT, "{address}");
    }
}

#[test]
fn without_groups_everybody_gets_the_default_policy() {
    let groups = groups(&[]);
    assert_eq!(groups.classify(&client("192.0.2.1")).group, SenderGroups::DEFAULT);
    assert_eq!(groups.policies().count(), 1);
    assert_eq!(groups.unreachable(), []);
}

#[test]
fn a_group_may_be_everybody_too() {
    for (clients, everybody) in [
        (&["0.0.0.0/0"][..], true),
        (&["::/0"], true),
        (&["0.0.0.0-255.255.255.255"], true),
        (&["0.0.0.0/1", "128.0.0.0/1"], true),
        (&["0.0.0.0/1"], false),
        (&[".mil"], false),
        (&[], false),
    ] {
        let groups = groups(&[("a", clients)]);
        let policy = groups.policies().next().unwrap();
        assert_eq!(groups.is_for_everybody(policy), everybody, "{clients:?}");
    }
}

#[test]
fn policies_are_all_that_a_client_can_get() {
    let groups = groups(&[("a", &["10.0.0.0/8"]), ("b", &["10.0.0.0/8"])]);
    let names: Vec<&str> = groups.policies().map(|policy| &*policy.name).collect();
    assert_eq!(names, ["a", "b", "everybody else"]);
}

/// A group by name is asked only when no address has decided before, and a name counts only when it is confirmed.
#[test]
fn names_decide_where_addresses_have_not() {
    let groups = groups(&[
        ("printers", &["10.1.0.0/16"]),
        ("relay", &["10.9.9.9", "mail.example.mil"]),
        ("below", &[".example.mil", "192.0.2.0/24"]),
        ("rest", &["198.51.100.0/24"]),
    ]);
    for (client, group, entry) in [
        (named("10.1.2.3", &["mail.example.mil"]), "printers", "10.1.0.0/16"),
        (named("203.0.113.1", &["mail.example.mil"]), "relay", "mail.example.mil"),
        (named("203.0.113.1", &["MAIL.example.mil."]), "relay", "mail.example.mil"),
        (named("203.0.113.1", &["other.example.com", "mail.example.mil"]), "relay", "mail.example.mil"),
        (named("203.0.113.1", &["mx.mail.example.mil"]), "below", ".example.mil"),
        (named("203.0.113.1", &["example.mil"]), "default", ""),
        (named("203.0.113.1", &["notexample.mil"]), "default", ""),
        (named("203.0.113.1", &["example.mil.example.com"]), "default", ""),
        (named("198.51.100.7", &["a.example.mil"]), "below", ".example.mil"),
        (client("198.51.100.7"), "rest", "198.51.100.0/24"),
        (Client { naming: Naming::Unconfirmed("timed out".to_owned()), ..client("203.0.113.1") }, "default", ""),
    ] {
        let classified = groups.classify(&client);
        let got = classified.entry.map(ToString::to_string).unwrap_or_default();
        assert_eq!((classified.group, got.as_str()), (group, entry), "{client:?}");
    }
    for (asked, needed) in [
        ("10.1.2.3", false),
        ("10.9.9.9", false), // its own group has it by its address
        ("192.0.2.7", true), // the group before may take it by its name
        ("198.51.100.7", true),
        ("2001:db8::1", true),
    ] {
        assert_eq!(groups.needs_name(address(asked)), needed, "{asked}");
    }
    assert!(groups.name_hosts());
}

#[test]
fn without_names_in_groups_no_name_is_needed() {
    let groups = groups(&[("a", &["10.0.0.0/8", "10.0.0.1-10.0.0.9"])]);
    assert!(!groups.name_hosts() && !groups.needs_name(address("192.0.2.1")));
}

#[test]
fn groups_behind_wider_ones_are_unreachable() {
    type Groups<'g> = &'g [(&'g str, &'g [&'g str])];
    let cases: [(Groups<'_>, Groups<'_>); 25] = [
        (&[("a", &["10.0.0.0/8"]), ("b", &["10.1.0.0/16"])], &[("b", &["a"])]),
        (&[("b", &["10.1.0.0/16"]), ("a", &["10.0.0.0/8"])], &[]),
        (&[("a", &["10.0.0.0/8"]), ("b", &["10.0.0.0/8"])], &[("b", &["a"])]),
        (&[("a", &["10.0.0.0/8"]), ("b", &["10.1.2.3"])], &[("b", &["a"])]),
        (&[("a", &["10.0.0.0/8"]), ("b", &["10.1.2.3", "192.0.2.1"])], &[]), // partly reachable
        (&[("a", &["10.0.0.0/8"]), ("b", &["192.0.2.0/24"]), ("c", &["192.0.2.1", "10.1.2.3"])], &[("c", &["a", "b"])]),
        (&[("a", &["0.0.0.0/0"]), ("b", &["2001:db8::/32"])], &[]), // another family
        (&[("a", &["::/0"]), ("b", &["2001:db8::/32"]), ("c", &["10.0.0.0/8"])], &[("b", &["a"])]),
        (&[("a", &["10.0.0.0/8"]), ("b", &["::ffff:10.1.2.3"])], &[("b", &["a"])]), // mapped, so IPv4
        // Ranges, and several groups together.
        (&[("a", &["10.0.0.1-10.0.0.20"]), ("b", &["10.0.0.4/30"])], &[("b", &["a"])]),
        (&[("a", &["10.0.0.1-10.0.0.20"]), ("b", &["10.0.0.20-10.0.0.21"])], &[]),
        (&[("a", &["10.0.0.0/25"]), ("b", &["10.0.0.128/25"]), ("c", &["10.0.0.0/24"])], &[("c", &["a", "b"])]),
        (&[("a", &["10.0.0.0-10.0.0.99"]), ("b", &["10.0.0.101-10.0.0.255"]), ("c", &["10.0.0.0/24"])], &[]),
        (
            &[("b", &["10.0.0.128/25"]), ("a", &["10.0.0.0/25", "192.0.2.1"]), ("c", &["10.0.0.0/24"])],
            &[("c", &["b", "a"])],
        ),
        // Groups that have nothing to do with it are not named.
        (
            &[("x", &["192.0.2.0/24", "mail.example.mil"]), ("a", &["10.0.0.0/8"]), ("b", &["10.1.0.0/16"])],
            &[("b", &["a"])],
        ),
        (&[("x", &["a.example.mil"]), ("a", &[".example.mil"]), ("b", &["b.example.mil"])], &[("b", &["a"])]),
        (&[("x", &["::/0"]), ("a", &["10.0.0.0/8"]), ("b", &["10.0.0.1-10.0.0.2"])], &[("b", &["a"])]),
        // Names.
        (&[("a", &[".example.mil"]), ("b", &["mail.example.mil", ".lab.example.mil"])], &[("b", &["a"])]),
        (&[("a", &[".example.mil"]), ("b", &["example.mil"])], &[]),
        (&[("a", &["mail.example.mil"]), ("b", &[".example.mil"])], &[]),
        (&[("a", &["mail.example.mil"]), ("b", &["mail.example.mil"])], &[("b", &["a"])]),
        (&[("a", &[".example.mil"]), ("b", &[".example.mil"])], &[("b", &["a"])]),
        (&[("a", &[".example.mil"]), ("b", &[".example.com"])], &[]),
        // What has a name has an address.
        (&[("a", &["0.0.0.0/0"]), ("b", &["mail.example.mil"])], &[]),
        (&[("a", &["0.0.0.0/0", "::/0"]), ("b", &["mail.example.mil"])], &[("b", &["a"])]),
    ];
    for (list, unreachable) in cases {
        let expected: Vec<Unreachable<'_>> =
            unreachable.iter().map(|(group, behind)| Unreachable { group, behind: behind.to_vec() }).collect();
        assert_eq!(groups(list).unreachable(), expected, "{list:?}");
    }
}

#[test]
fn a_group_without_clients_has_nobody_before_it() {
    // Nothing holds all its clients, for it has none: another warning's business.
    assert_eq!(groups(&[("a", &["0.0.0.0/0"]), ("b", &[])]).unreachable(), []);
}

fn any_pattern() -> impl Strategy<Value = ClientPattern> {
    // Few bits, so that they meet.
    let v4 = |host: u32| IpAddr::from((0x0a00_0000 + host).to_be_bytes());
    let v6 = |host: u32| IpAddr::from((0x2001_0db8_u128 << 96 | u128::from(host)).to_be_bytes());
    let ends = (0_u32..16, 0_u32..4, any::<bool>());
    let range = ends.prop_map(move |(first, more, is_v4)| {
        let (first, last) = (first, first + more);
        let text = if is_v4 { format!("{}-{}", v4(first), v4(last)) } else { format!("{}-{}", v6(first), v6(last)) };
        text.parse().unwrap()
    });
    prop_oneof![4 => range, 1 => Just("a.example.mil".parse().unwrap()), 1 => Just(".example.mil".parse().unwrap())]
}

fn any_client() -> impl Strategy<Value = Client> {
    let address = prop_oneof![
        (0_u32..20).prop_map(|host| IpAddr::from((0x0a00_0000 + host).to_be_bytes())),
        (0_u128..20).prop_map(|host| IpAddr::from((0x2001_0db8_u128 << 96 | host).to_be_bytes())),
        (0_u128..20).prop_map(|host| IpAddr::from((0xffff_0a00_0000 + host).to_be_bytes())),
    ];
    let names = proptest::sample::select(vec!["a.example.mil", "b.example.mil", "example.mil", "a.example.com"]);
    let naming = prop_oneof![
        Just(Naming::Unconfirmed(String::new())),
        names.prop_map(|name| Naming::Confirmed(vec![HostName::parse(name).unwrap()])),
    ];
    (address, naming).prop_map(|(address, naming)| Client { naming, ..Client::unnamed(address) })
}

proptest! {
    #[test]
    fn classification_is_by_the_first_holder_and_unreachable_groups_get_nobody(
        patterns in proptest::collection::vec(proptest::collection::vec(any_pattern(), 0..3), 0..6),
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
        let first = patterns.iter().position(|clients| clients.iter().any(|pattern| pattern.holds(&client)));
        let expected = first.map_or(SenderGroups::DEFAULT.to_owned(), |at| at.to_string());
        let classified = groups.classify(&client);
        prop_assert_eq!(classified.group, &expected);
        for unreachable in groups.unreachable() {
            prop_assert_ne!(classified.group, unreachable.group);
            let at: usize = unreachable.group.parse().unwrap();
            prop_assert!(!unreachable.behind.is_empty());
            prop_assert!(unreachable.behind.iter().all(|earlier| earlier.parse::<usize>().unwrap() < at));
        }
        // Where no name is needed, none changes anything.
        if !groups.needs_name(client.address) {
            let unnamed = Client::unnamed(client.address);
            prop_assert_eq!(groups.classify(&unnamed).group, classified.group);
        }
    }
}
