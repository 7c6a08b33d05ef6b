//! What would become of mail, over signed and forged zones: told, without a connection to anybody.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod peers;
#[path = "../../dns/tests/zones/mod.rs"]
mod zones;

use std::sync::Arc;

use peers::{envelope, means, settings};
use postern_delivery::{Condition, Courier, Hop, Means, NamedBy, Origin, Outcome, RouteSettings, To};
use zones::{PROGRAMS, Signed, Zone, Zones};

/// `MX 10 mx1.signed:25 127.0.0.1 Verified`
fn shown(hop: &Hop) -> String {
    let named_by = match hop.named_by {
        NamedBy::Route { priority } => format!("route {priority}"),
        NamedBy::Literal => "literal".to_owned(),
        NamedBy::Domain => "domain".to_owned(),
        NamedBy::Exchange { preference } => format!("MX {preference}"),
    };
    let addresses = match &hop.addresses {
        Ok(addresses) => addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        Err(cause) => cause.status().to_string(),
    };
    let tls = hop.tls.as_ref().map_or_else(|cause| cause.status().to_string(), |tls| format!("{tls:?}"));
    format!("{named_by} {} {addresses} {tls}", hop.host)
}

async fn outlook(courier: &Courier, to: &str) -> String {
    let outlook = courier.outlook(&Origin::default(), &envelope(&[to]), 0).await.unwrap();
    let To::Hosts { hops, .. } = outlook.taken.unwrap().to else { panic!("no hosts") };
    match hops {
        Ok(hops) => hops.iter().map(shown).collect::<Vec<_>>().join(", "),
        Err(Outcome::Failed(cause)) => format!("failed {}", cause.status()),
        Err(outcome) => format!("{outcome:?}"),
    }
}

#[tokio::test]
async fn next_hops_as_the_zones_have_them() {
    if !zones::has(&PROGRAMS) {
        return;
    }
    let fits = "TLSA 3 1 1 0000000000000000000000000000000000000000000000000000000000000000";
    let records = format!(
        "@ MX 20 b\n@ MX 10 a\na A 127.0.0.1\na A 127.0.0.2\nb A 127.0.0.3\n_25._tcp.a {fits}\n\
         null MX 0 .\nown A 127.0.0.4\nlost MX 10 nowhere\nodd MX 10 odd\nodd A 127.0.0.5\n\
         _25._tcp.odd {}\n",
        fits.replace("3 1 1", "1 1 1"),
    );
    let zones = Zones::start(&[
        Zone::new("signed.", Signed::Nsec, &records),
        Zone::new("plain.", Signed::No, &records),
        Zone { forged: Some(("127.0.0.4", "127.0.0.6")), ..Zone::new("forged.", Signed::Nsec, &records) },
    ]);
    let (server, anchor) = (zones.server.address, zones.anchor.display());
    let toml = format!("servers = ['{server}']\ntimeout = '3s'\ndnssec = 'validate'\ntrust_anchor = '{anchor}'");
    let resolver = Arc::new(dns::Resolver::new(&toml::from_str(&toml).unwrap()).unwrap());
    let means = Means { resolver: Some(resolver), dnssec: true, ..means() };
    let dane = Courier::new(&[settings("hosts = ['mx']\ntls = 'dane'")], &means).unwrap();
    for (to, expected) in [
        ("signed", "MX 10 a.signed:25 127.0.0.1 127.0.0.2 Verified, MX 20 b.signed:25 127.0.0.3 Opportunistic"),
        ("plain", "MX 10 a.plain:25 127.0.0.1 127.0.0.2 Opportunistic, MX 20 b.plain:25 127.0.0.3 Opportunistic"),
        ("odd.signed", "MX 10 odd.signed:25 127.0.0.5 Encrypted"),
        ("own.plain", "domain own.plain:25 127.0.0.4 Opportunistic"),
        ("own.forged", "domain own.forged:25 4.4.3 4.7.5"),
        ("lost.signed", "failed 5.4.4"),
        ("null.signed", "failed 5.1.10"),
        ("no.signed", "failed 5.1.2"),
        ("[192.0.2.1]", "literal 192.0.2.1:25 192.0.2.1 Opportunistic"),
    ] {
        assert_eq!(sorted(&outlook(&dane, &format!("bob@{to}")).await), sorted(expected), "{to}");
    }
    let verify = Courier::new(&[settings("hosts = ['a.signed', 'localhost:26']\ntls = 'require'")], &means).unwrap();
    let found = outlook(&verify, "bob@example.net").await;
    assert!(found.starts_with("route 10 a.signed:25 "), "{found}");
    assert!(found.contains(", route 20 localhost:26 ") && found.ends_with(" Encrypted"), "{found}");
    assert_eq!(verify.counters().connections + dane.counters().connections, 0);
}

/// A name server gives the addresses of one name in any order.
fn sorted(text: &str) -> Vec<&str> {
    let mut words: Vec<&str> = text.split(' ').collect();
    words.sort_unstable();
    words
}

#[tokio::test]
async fn why_a_route_is_passed_over() {
    let route = |conditions: &str| -> RouteSettings {
        toml::from_str(&format!("tls = 'none'\nhosts = ['127.0.0.1']\n{conditions}")).unwrap()
    };
    let routes = [
        route("domains = ['example.org']"),
        route("domains = ['*']\nlisteners = ['partners']"),
        route("domains = ['*']\npolicies = ['office']"),
        route("domains = ['*']\nidentities = ['alice']"),
        route("domains = ['*']\nsenders = ['@example.net']"),
    ];
    let courier = Courier::new(&routes, &means()).unwrap();
    let outlook = courier.outlook(&Origin::default(), &envelope(&["bob@example.net"]), 0).await.unwrap();
    let why: Vec<_> = outlook.passed_over.iter().map(|(_, unmet)| *unmet).collect();
    let expected =
        [Condition::Domains, Condition::Listeners, Condition::Policies, Condition::Identities, Condition::Senders];
    assert_eq!(why, expected);
    assert!(outlook.taken.is_none());
    let origin = Origin { policy: "office".to_owned(), ..Origin::default() };
    let outlook = courier.outlook(&origin, &envelope(&["bob@example.net"]), 0).await.unwrap();
    assert_eq!(outlook.passed_over.len(), 2);
    assert!(matches!(outlook.taken.unwrap().to, To::Hosts { hops: Ok(hops), .. } if hops.len() == 1));
    assert!(courier.outlook(&origin, &envelope(&["bob@example.net"]), 1).await.is_none());
}
