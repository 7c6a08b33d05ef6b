//! From exchanges to hosts, without a DNS server.

use std::time::Duration;

use super::*;

fn answer(exchanges: &[(u16, &str)]) -> Answer<Exchange> {
    let exchange = |(preference, host): &(u16, &str)| Exchange {
        preference: *preference,
        host: Some(host).filter(|host| !host.is_empty()).map(|host| (*host).to_owned()),
    };
    let records = exchanges.iter().map(exchange).collect();
    Answer { records, secure: false, ttl: Duration::ZERO, name: "example.org".to_owned() }
}

/// Hosts, or the status.
fn found(exchanges: &[(u16, &str)]) -> String {
    let own = ["gateway.example.org".into(), "Out.example.org".into()];
    match hops("example.org", 25, &own, &answer(exchanges)) {
        Ok(hops) => hops.iter().map(|hop| hop.host.address()).collect::<Vec<_>>().join(" "),
        Err(Outcome::Failed(cause)) => format!("{:?}", cause.status()),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn which_exchanges_are_tried() {
    for (exchanges, expected) in [
        (&[(10, "a.example"), (20, "b.example")][..], "a.example b.example"),
        (&[(20, "b.example"), (10, "a.example")], "a.example b.example"),
        (&[(10, "a.example"), (20, "a.example")], "a.example"),
        // Only those closer than this host.
        (&[(10, "a.example"), (20, "GATEWAY.example.org"), (20, "b.example"), (30, "c.example")], "a.example"),
        (&[(10, "a.example"), (20, "out.example.org")], "a.example"),
        (&[(10, "gateway.example.org"), (20, "a.example")], "EnhancedCode(5, 4, 6)"),
        (&[(10, "gateway.example.org"), (10, "a.example")], "EnhancedCode(5, 4, 6)"),
        (&[(0, "")], "EnhancedCode(5, 1, 10)"),
        // RFC 7505 section 3: a null MX among others is none.
        (&[(0, ""), (10, "a.example")], "a.example"),
        (&[(10, "192.0.2.1")], "EnhancedCode(5, 4, 4)"),
        (&[(10, "192.0.2.1"), (20, "a.example")], "a.example"),
        (&[(10, "a b")], "EnhancedCode(5, 4, 4)"),
    ] {
        assert_eq!(found(exchanges), expected, "{exchanges:?}");
    }
    let names: Vec<String> = (0..30).map(|number| format!("mx{number}.example")).collect();
    let many: Vec<(u16, &str)> = names.iter().map(|name| (10, name.as_str())).collect();
    assert_eq!(found(&many).split(' ').count(), MAX_HOSTS);
    assert_ne!(found(&many), found(&many), "equals come by chance");
}

#[tokio::test]
async fn address_literals_and_listed_hosts() {
    let resolver = Resolver::alone();
    let mx = Hosts::Mx { port: 2525 };
    for (domain, expected) in [
        ("[192.0.2.1]", Some("192.0.2.1:2525")),
        ("[IPv6:2001:db8::1]", Some("[2001:db8::1]:2525")),
        ("[ipv6:::1]", Some("[::1]:2525")),
        ("[x-tag:192.0.2.1]", None),
        ("[2001:db8::1]", None),
    ] {
        let hops = resolve(&mx, Some(domain), &[], &resolver).await;
        let host = hops.ok().map(|hops| hops[0].host.to_string());
        assert_eq!(host.as_deref(), expected, "{domain}");
    }
    let Err(Outcome::Deferred(cause)) = resolve(&mx, Some("example.org"), &[], &resolver).await else { panic!() };
    assert_eq!((cause.status(), cause.unreachable), (EnhancedCode(4, 4, 3), true));

    let hop = |host: &str, named_by| NextHop { host: host.parse().unwrap(), secure: true, named_by };
    let addresses = |hop: NextHop| async move { hop.addresses(&Resolver::alone()).await.map(|answer| answer.records) };
    assert_eq!(
        addresses(hop("[::1]:25", NamedBy::Exchange { preference: 10 })).await.ok(),
        Some(vec!["::1".parse().unwrap()])
    );
    assert_eq!(
        addresses(hop("localhost", NamedBy::Route { priority: 10 })).await.ok().map(|found| found.len()),
        Some(2)
    );
    let absent = addresses(hop("mx.example.org", NamedBy::Exchange { preference: 10 })).await.err().unwrap();
    assert!(!absent.for_good && absent.cause.unreachable && absent.cause.status() == EnhancedCode(4, 4, 3));
}
