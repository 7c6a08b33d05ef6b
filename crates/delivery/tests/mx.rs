//! Next hops by DNS: a real DNS server (NSD), real next hops (smtp-sink), each at an address of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod peers;
#[path = "../../dns/tests/zones/mod.rs"]
mod zones;

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use peers::{deliver, domain, envelope, free_port, lines, provider, settings};
use postern_delivery::{Courier, Means, Origin, Outcome};
use zones::{PROGRAMS, Signed, Zone, Zones, has};

const RECORDS: &str = "
up A 127.0.0.2
also A 127.0.0.4
down A 127.0.0.9
half A 127.0.0.9
half A 127.0.0.2
two MX 10 down
two MX 20 up
equal MX 10 up
equal MX 10 also
alias CNAME two
xn--bcher-kva MX 10 up
bare A 127.0.0.2
halves MX 10 half
null MX 0 .
empty TXT \"nothing else\"
gone MX 10 missing
gone MX 20 empty
rest MX 10 missing
rest MX 20 up
number MX 10 127.0.0.2.
ours MX 10 gateway.example.org.
ours MX 20 up
backup MX 10 down
backup MX 20 gateway.example.org.
backup MX 30 up
circle MX 10 circle1
circle1 CNAME circle2
circle2 CNAME circle1
astray CNAME circle1
unsure MX 10 x.broken.
unsure MX 20 up
half-unsure MX 10 missing
half-unsure MX 20 x.broken.
";

/// smtp-sinks at 127.0.0.2 and 127.0.0.4, the same port.
struct Sinks {
    port: u16,
    children: Vec<Child>,
}

impl Sinks {
    async fn start() -> Self {
        let port = free_port();
        let mut sinks = Self { port, children: Vec::new() };
        for address in ["127.0.0.2", "127.0.0.4"] {
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL", "/usr/sbin/smtp-sink"]);
            if std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
                command.args(["-u", "nobody"]);
            }
            command.arg(format!("{address}:{port}")).arg("100").stdout(Stdio::null()).stderr(Stdio::null());
            sinks.children.push(command.spawn().unwrap());
            let began = Instant::now();
            while tokio::net::TcpStream::connect((address, port)).await.is_err() {
                assert!(began.elapsed() < Duration::from_secs(10), "smtp-sink does not start");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        sinks
    }
}

impl Drop for Sinks {
    fn drop(&mut self) {
        for child in &mut self.children {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn means(server: SocketAddr, more: &str) -> Means {
    let dns = format!("servers = [\"{server}\"]\ntimeout = \"1s\"\n{more}");
    let resolver = dns::Resolver::new(&toml::from_str(&dns).unwrap()).unwrap();
    Means { resolver: Some(Arc::new(resolver)), ..Means::alone(domain("gateway.example.org"), provider()) }
}

fn courier(server: SocketAddr, port: u16) -> Courier {
    let route = settings(&format!("hosts = ['mx:{port}']\ntls = 'none'"));
    Courier::new(&[route], &means(server, "")).unwrap()
}

/// Who took it; or what became of it.
async fn taken(courier: &Courier, recipient: &str) -> String {
    let outcomes = deliver(courier, &envelope(&[recipient])).await;
    match &outcomes[0] {
        Outcome::Delivered { host: Some(host), .. } => host.address(),
        _ => lines(&outcomes).remove(0),
    }
}

fn zones() -> Zones {
    Zones::start(&[
        Zone::new("mail.", Signed::No, RECORDS),
        // NSD answers SERVFAIL for what it cannot read.
        Zone::new("broken.", Signed::No, "no zone ( at all"),
    ])
}

#[tokio::test]
async fn each_kind_of_answer() {
    if !has(&PROGRAMS) || !has(&["smtp-sink"]) {
        return;
    }
    let (zones, sinks) = (zones(), Sinks::start().await);
    let courier = courier(zones.server.address, sinks.port);
    for (recipient, expected) in [
        // The best is down, so the next is asked.
        ("two.mail", "up.mail"),
        ("TWO.mail", "up.mail"),
        ("alias.mail", "up.mail"),
        ("bücher.mail", "up.mail"),
        // Without MX, the domain itself; of a host, each address.
        ("bare.mail", "bare.mail"),
        ("halves.mail", "half.mail"),
        ("[127.0.0.2]", "127.0.0.2"),
        ("null.mail", "failed 5.1.10 the domain null.mail takes no mail"),
        ("missing.mail", "failed 5.1.2 there is no domain missing.mail"),
        ("empty.mail", "failed 5.4.4 none of the domain's mail exchanges is there"),
        ("gone.mail", "failed 5.4.4 none of the domain's mail exchanges is there"),
        ("rest.mail", "up.mail"),
        ("number.mail", "failed 5.4.4 the mail exchanges of number.mail in the DNS are no hosts"),
        ("ours.mail", "failed 5.4.6 mail for ours.mail loops"),
        // The third is no closer than we are.
        ("backup.mail", "deferred 4.4.1 down.mail"),
        ("circle.mail", "deferred 4.4.3 circle1.mail"),
        ("astray.mail", "deferred 4.4.3 the mail exchanges of astray.mail are not known"),
        ("x.broken", "deferred 4.4.3 the mail exchanges of x.broken are not known"),
        ("unsure.mail", "up.mail"),
        // One is not there, and of the other nobody knows.
        ("half-unsure.mail", "deferred 4.4.4 missing.mail"),
    ] {
        let found = taken(&courier, &format!("bob@{recipient}")).await;
        assert!(found.starts_with(expected), "{recipient}: {found}");
    }
}

#[tokio::test]
async fn equals_share_the_load() {
    if !has(&PROGRAMS) || !has(&["smtp-sink"]) {
        return;
    }
    let (zones, sinks) = (zones(), Sinks::start().await);
    let courier = courier(zones.server.address, sinks.port);
    let mut seen = BTreeSet::new();
    // That 60 draws are all the same happens once in 2^59 runs.
    for _ in 0..60 {
        seen.insert(taken(&courier, "bob@equal.mail").await);
        if seen.len() == 2 {
            break;
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["also.mail", "up.mail"]);

    // Listed ones: by priority, whatever their place.
    let (up, also) = (format!("127.0.0.2:{}", sinks.port), format!("127.0.0.4:{}", sinks.port));
    for (hosts, expected) in [
        (format!("'{up}', '{also}'"), "127.0.0.2"),
        (format!("{{ host = '{up}', priority = 30 }}, '{also}'"), "127.0.0.4"),
        (format!("'127.0.0.9:{}', {{ host = '{also}' }}", sinks.port), "127.0.0.4"),
    ] {
        let route = settings(&format!("hosts = [{hosts}]\ntls = 'none'\nkeep_open = '0s'"));
        let courier = Courier::new(&[route], &peers::means()).unwrap();
        assert_eq!(taken(&courier, "bob@example.org").await, expected, "{hosts}");
    }
}

#[tokio::test]
async fn a_domain_is_a_destination() {
    if !has(&PROGRAMS) || !has(&["smtp-sink"]) {
        return;
    }
    let (zones, sinks) = (zones(), Sinks::start().await);
    let courier = courier(zones.server.address, sinks.port);
    let of = |domain: &str| courier.destination(&Origin::default(), &envelope(&[&format!("bob@{domain}")]), 0).unwrap();
    assert_eq!(of("bare.mail"), of("BARE.mail"));
    assert_eq!(of("bücher.mail"), of("xn--bcher-kva.mail"));
    assert_ne!(of("bare.mail"), of("rest.mail"));
    // A connection is used again for the same domain, and for no other, though the host is the same.
    for recipient in ["bob@rest.mail", "carol@rest.mail", "dave@unsure.mail"] {
        assert_eq!(taken(&courier, recipient).await, "up.mail");
    }
    let counters = courier.counters();
    assert_eq!((counters.connections, counters.reused), (2, 1));
}

#[tokio::test]
async fn silence_is_a_temporary_failure_within_its_time() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let courier = courier(silent.local_addr().unwrap(), 25);
    let began = Instant::now();
    let found = taken(&courier, "bob@two.mail").await;
    assert!(found.starts_with("deferred 4.4.3 the mail exchanges of two.mail are not known"), "{found}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

/// RFC 5321 section 4.1.1.1 wants a name at EHLO that fits the address.
#[tokio::test]
async fn from_an_address_and_under_a_name() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let next_hop = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut stream, from) = listener.accept().await.unwrap();
        stream.write_all(b"220 next.example\r\n").await.unwrap();
        let mut octets = [0; 100];
        let count = stream.read(&mut octets).await.unwrap();
        (from.ip().to_string(), String::from_utf8_lossy(&octets[..count]).into_owned())
    });
    let route = settings(&format!(
        "hosts = ['127.0.0.1:{port}']\ntls = 'none'\nsource = ['127.0.0.7', '::1']\nhello = 'out.example.org'"
    ));
    let courier = Courier::new(&[route], &peers::means()).unwrap();
    let found = taken(&courier, "bob@example.org").await;
    assert!(found.starts_with("deferred 4.4.2"), "{found}");
    assert_eq!(next_hop.await.unwrap(), ("127.0.0.7".to_owned(), "EHLO out.example.org\r\n".to_owned()));
    // One that this machine does not have.
    let route = settings(&format!("hosts = ['127.0.0.1:{port}']\ntls = 'none'\nsource = ['192.0.2.5']"));
    let found = taken(&Courier::new(&[route], &peers::means()).unwrap(), "bob@example.org").await;
    assert!(found.contains("it cannot be connected to: from 192.0.2.5:"), "{found}");
}
