//! Sender groups by name: a name counts when it has the address, and DNS that fails, lies or is silent names nobody.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{from, session};
use crate::harness::dns::{Dns, SilentDns};
use crate::harness::peers::has;
use crate::harness::{World, golden};

const CONFIGURATION: &str = include_str!("names.toml");

/// `--address` is a forward record alone, `--ptr-record` a reverse one.
const RECORDS: [&str; 14] = [
    "--address=/mail.example.mil/10.1.2.3",
    "--ptr-record=3.2.1.10.in-addr.arpa,mail.example.mil",
    // Anybody can claim any name in reverse DNS of their own.
    "--ptr-record=4.2.1.10.in-addr.arpa,mail.example.mil",
    "--address=/a.branch.example.mil/10.1.2.5",
    "--ptr-record=5.2.1.10.in-addr.arpa,A.Branch.Example.mil",
    // Of several names one is true.
    "--address=/b.branch.example.mil/10.1.2.6",
    "--ptr-record=6.2.1.10.in-addr.arpa,mail.example.mil",
    "--ptr-record=6.2.1.10.in-addr.arpa,b.branch.example.mil",
    "--address=/six.branch.example.mil/2001:db8::7",
    "--ptr-record=7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa,six.branch.example.mil",
    // Names that are none.
    "--ptr-record=8.2.1.10.in-addr.arpa,10.1.2.8",
    "--local=/8/",
    "--address=/example.com/10.1.2.9",
    "--ptr-record=9.2.1.10.in-addr.arpa,branch.example.mil.example.com",
];

fn configuration(dns: SocketAddr) -> String {
    CONFIGURATION.replace("127.0.0.1:5353", &dns.to_string())
}

fn greeting(banner: &str) -> String {
    format!("S: 220 mail.example.mil ESMTP {banner}\nC: QUIT\nS: 221 *\nCLOSED\n")
}

const REJECTED: &str = "S: 554 5.7.1 Access denied\nC: QUIT\nS: 221 *\nCLOSED\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_counts_when_it_has_the_address() {
    if !has(&["dnsmasq", "setpriv"]) {
        return;
    }
    let dns = Dns::start(&RECORDS);
    let world = World::new().await;
    let gateway = world.start(&configuration(dns.address));
    for (client, group, name, no_name) in [
        ("10.9.0.7", "PRINTERS", None, None),
        ("10.1.2.3", "RELAYLIST", Some("mail.example.mil"), None),
        ("10.1.2.4", "default", None, Some("no name of the address has the address")),
        ("10.1.2.5", "BRANCHES", Some("a.branch.example.mil"), None),
        ("10.1.2.6", "BRANCHES", Some("b.branch.example.mil"), None),
        ("2001:db8::7", "BRANCHES", Some("six.branch.example.mil"), None),
        ("10.1.2.8", "default", None, Some("no name of the address has the address")),
        ("10.1.2.9", "default", Some("branch.example.mil.example.com"), None),
        ("10.1.2.99", "default", None, Some("the address has no name")),
        ("2001:db8::8", "default", None, Some("the address has no name")),
    ] {
        let script = match group {
            "PRINTERS" => greeting("printers"),
            "RELAYLIST" => greeting("headquarters"),
            "BRANCHES" => greeting("branches"),
            _ => REJECTED.to_owned(),
        };
        from(&world, &gateway, "submission", client, &script).await;
        let socket = SocketAddr::new(client.parse().unwrap(), 40_000).to_string();
        let line = session(&gateway, &socket);
        let told = (line["group"].as_str(), line["name"].as_str(), line["no_name"].as_str());
        assert_eq!(told, (Some(group), name, no_name), "{line}");
    }
    // What was learnt lasts as long as its TTL, without the server; what was not is a name less, and no more.
    drop(dns);
    from(&world, &gateway, "submission", "10.9.0.7", &greeting("printers")).await;
    from(&world, &gateway, "submission", "10.1.2.66", REJECTED).await;
    let line = session(&gateway, "10.1.2.66:40000");
    assert!(line["no_name"].is_string() && line["name"].is_null(), "{line}");
}

/// A client whose DNS is silent waits for its time, once; nobody else waits, and nobody is asked about without need.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_holds_up_nobody_else() {
    let dns = SilentDns::start();
    let world = World::new().await;
    let gateway = world.start(&configuration(dns.address));
    from(&world, &gateway, "submission", "10.9.0.1", &greeting("printers")).await;
    assert_eq!(dns.asked(), 0, "the address decides");
    let began = Instant::now();
    let (slow, quick) = tokio::join!(
        async {
            from(&world, &gateway, "submission", "10.1.2.3", REJECTED).await;
            began.elapsed()
        },
        async {
            // It is asked about; only then comes the other.
            crate::harness::until("a question", async || (dns.asked() > 0).then_some(())).await;
            from(&world, &gateway, "submission", "10.9.0.2", &greeting("printers")).await;
            began.elapsed()
        }
    );
    assert!(slow >= Duration::from_millis(900), "{slow:?}: it cannot have asked");
    assert!(quick < slow, "{quick:?}, while the other took {slow:?}");
    let line = session(&gateway, "10.1.2.3:40000");
    assert!(line["no_name"].is_string(), "{line}");
    let asked = dns.asked();
    from(&world, &gateway, "submission", "10.1.2.3", REJECTED).await;
    assert_eq!(dns.asked(), asked, "a failure is remembered");
}

/// The explanation asks the same DNS, or supposes a name; group, entry, name and limits show.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explained() {
    if !has(&["dnsmasq", "setpriv"]) {
        return;
    }
    let dns = Dns::start(&RECORDS);
    let world = World::new().await;
    world.configure(&configuration(dns.address));
    let transcript = super::explained(
        &world,
        "submission",
        &[
            &["--client", "10.9.0.7"][..],
            &["--client", "10.1.2.3", "--sender", "a@example.mil", "--recipient", "b@example.net"],
            &["--client", "10.1.2.4"],
            &["--client", "10.1.2.5"],
            &["--client", "10.1.2.99"],
            &["--client", "10.1.2.99", "--client-name", "c.branch.example.mil"],
        ],
    );
    let differs = golden::differs("t11_policy/names.expected", &transcript);
    assert!(differs.is_none(), "{}", differs.unwrap());
}
