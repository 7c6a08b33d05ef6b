//! Certificates good, bad and odd. Whoever proves to hold the key gets through the handshake; what is wrong with the
//! certificate is said in SMTP: after STARTTLS as the reply to everything but QUIT, on an implicit port as the greeting.

use std::time::{Duration, SystemTime};

use demo::certificate::{COMMON_NAME, Extension, KEY_ENCIPHERMENT, SERVER_AUTH};
use demo::pki::{ALICE, BOB, Holder};
use demo::{AltName, Client, ClientTls, Identity, KeyKind, Name, Security, Template, TlsVersions, der};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::harness::peers::{self, command, run};
use crate::harness::world::card;
use crate::harness::{Gateway, World};

const CONFIGURATION: &str = include_str!("postern.toml");
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What should become of a client.
#[derive(Clone, Copy)]
enum Expected {
    /// Recognised: MAIL from this address is taken.
    Sends(&'static str),
    /// 554 with this in it to everything but QUIT, and in the log this reason.
    Refused { reply: &'static str, reason: &'static str },
}

use Expected::{Refused, Sends};

const IS_ALICE: Expected = Sends("alice@example.mil");

fn alice() -> Template {
    card(ALICE)
}

fn named(subject: Name) -> Template {
    // Without rfc822Name and UPN: the common name is all there is.
    Template { names: Vec::new(), ..Template::client(subject) }
}

/// Certificates that our own CA issues, by what they say.
fn templates() -> Vec<(&'static str, Template, Expected)> {
    let now = SystemTime::now();
    let nobody = Holder { common_name: "NIX.NEMO.N.9999999999", email: "nemo@example.mil", ..ALICE };
    let several = Holder { common_name: "FOE.HENRY.H.1234567895", email: "henry@example.mil", ..ALICE };
    let unmatched =
        |reason| Refused { reply: "554 5.7.1 Client certificate is valid, but belongs to no user here", reason };
    let raw_name = |value: &[u8]| named(Name::dod().attribute(COMMON_NAME, der::element(0x0c, value)));
    vec![
        ("good", alice(), IS_ALICE),
        ("no extended key usage", Template { extended_key_usage: vec![], ..alice() }, IS_ALICE),
        ("no key usage", Template { key_usage: vec![], ..alice() }, IS_ALICE),
        (
            "expired",
            alice().valid(now - 20 * DAY, now - DAY),
            Refused { reply: "554 5.7.8 Client certificate not accepted: expired on ", reason: "expired" },
        ),
        (
            "not yet valid",
            alice().valid(now + DAY, now + 20 * DAY),
            Refused { reply: "554 5.7.8 Client certificate not accepted: not valid before ", reason: "not yet valid" },
        ),
        (
            "for servers only",
            Template { extended_key_usage: vec![SERVER_AUTH], ..alice() },
            Refused {
                reply: "554 5.7.8 Client certificate not accepted: it is not meant for client authentication",
                reason: "wrong extended key usage",
            },
        ),
        (
            "for encryption only",
            Template { key_usage: vec![KEY_ENCIPHERMENT], ..alice() },
            Refused {
                reply: "554 5.7.8 Client certificate not accepted: its key usage does not allow this",
                reason: "wrong key usage",
            },
        ),
        // RFC 5280 section 6.1 asks for version 3 of issuers only.
        ("version 1", Template { version1: true, ..alice() }, IS_ALICE),
        (
            "unknown critical extension",
            Template { extensions: vec![Extension::critical(&[1, 3, 6, 1, 4, 1, 99999, 1], der::null())], ..alice() },
            Refused {
                reply: "554 5.7.8 Client certificate not accepted: it has a critical extension that is not understood",
                reason: "unknown critical extension 1.3.6.1.4.1.99999.1",
            },
        ),
        (
            "unknown extension that is not critical",
            Template { extensions: vec![Extension::plain(&[1, 3, 6, 1, 4, 1, 99999, 1], der::null())], ..alice() },
            IS_ALICE,
        ),
        ("in nobody's name", card(nobody), unmatched("nobody")),
        (
            "that fits two people",
            card(several),
            Refused {
                reply: "554 5.7.1 Client certificate is valid, but does not belong to exactly one user here",
                reason: "several people",
            },
        ),
        ("NUL in the common name", raw_name(b"EVIL\0.DOE.ALICE.A.1234567890"), unmatched("nobody")),
        ("a line feed in the common name", raw_name(b"EVIL\n.DOE.ALICE.A.1234567890"), unmatched("nobody")),
        ("bad UTF-8 in the common name", raw_name(b"\xff\xfe.DOE.ALICE.A.1234567890"), unmatched("nobody")),
        ("no common name", named(Name::dod()), unmatched("nobody")),
        // The last common name is the most specific one, and the one that counts.
        ("two common names", named(Name::dod().common_name(BOB.common_name).common_name(ALICE.common_name)), IS_ALICE),
        (
            "somebody else's common name last",
            named(Name::dod().common_name(ALICE.common_name).common_name("X")),
            unmatched("nobody"),
        ),
        (
            "Ivan's address",
            Template {
                names: vec![AltName::Email("ivan@example.mil".into())],
                ..Template::client(Name::dod().common_name("TOE.IVAN"))
            },
            Sends("ivan@example.mil"),
        ),
        (
            "two addresses, one of them Ivan's",
            Template {
                names: vec![AltName::Email("ivan@example.mil".into()), AltName::Email("mallory@example.mil".into())],
                ..Template::client(Name::dod().common_name("TOE.IVAN"))
            },
            unmatched("nobody"),
        ),
        (
            "Ivan's address with a NUL behind",
            Template {
                names: vec![AltName::Email("ivan@example.mil\0.example.net".into())],
                ..Template::client(Name::dod().common_name("TOE.IVAN"))
            },
            unmatched("nobody"),
        ),
    ]
}

async fn connect(gateway: &Gateway, implicit: bool, tls: &ClientTls) -> Client {
    if implicit {
        return Client::connect(gateway.address("submissions"), Security::Implicit(tls)).await.unwrap();
    }
    let mut client = Client::connect(gateway.address("submission"), Security::StartTls(tls)).await.unwrap();
    client.ehlo().await.unwrap();
    client.starttls(tls).await.unwrap();
    client
}

async fn sends(client: &mut Client, from: &str) -> Result<(), String> {
    for command in ["EHLO client.example.mil", &format!("MAIL FROM:<{from}>")] {
        let reply = client.command(command).await.map_err(|error| error.to_string())?;
        if !reply.is_positive() {
            return Err(format!("{command}: {reply}"));
        }
    }
    Ok(())
}

/// Everything that a refused client may say, refused in the same words; but QUIT is served.
async fn meets(client: &mut Client, implicit: bool, expected: Expected) -> Result<(), String> {
    let words = match expected {
        Refused { reply, .. } => reply,
        Sends(from) => return sends(client, from).await,
    };
    if implicit {
        let greeting = client.transcript()[0].reply.to_string();
        if !greeting.starts_with(words) {
            return Err(format!("greeting: {greeting}"));
        }
    }
    let commands = [
        "EHLO client.example.mil",
        "HELO client.example.mil",
        "MAIL FROM:<alice@example.mil>",
        "RCPT TO:<somebody@example.net>",
        "DATA",
        "AUTH EXTERNAL =",
        "AUTH PLAIN AGFsaWNlAGFsaWNlLXBhc3N3b3Jk",
        "STARTTLS",
        "NOOP",
        "RSET",
        "HELP",
        "VRFY alice",
        "NONSENSE",
    ];
    for command in commands {
        let reply = client.command(command).await.map_err(|error| format!("{command}: {error}"))?.to_string();
        if !reply.starts_with(words) {
            return Err(format!("{command}: {reply}"));
        }
    }
    match client.quit().await {
        Ok(reply) if reply.code() == 221 => Ok(()),
        other => Err(format!("QUIT: {other:?}")),
    }
}

/// Both doors, both versions.
async fn judged(
    world: &World,
    gateway: &Gateway,
    name: &str,
    identity: impl Fn() -> Option<Identity>,
    expected: Expected,
) -> Vec<String> {
    let mut failures = Vec::new();
    for implicit in [false, true] {
        for versions in [TlsVersions::Tls12, TlsVersions::Tls13] {
            let before = gateway.log_length();
            let mut client = connect(gateway, implicit, &world.tls_as(identity(), versions)).await;
            let way = format!("{name}, {}, {versions:?}", if implicit { "implicit" } else { "STARTTLS" });
            if let Err(failure) = meets(&mut client, implicit, expected).await {
                failures.push(format!("{way}: {failure}"));
            }
            drop(client);
            let line = gateway
                .wait_for_log_after(before, &format!("the session of {way}"), |line| line["message"] == "session");
            if let Refused { reason, .. } = expected
                && !line["reason"].as_str().is_some_and(|why| why.contains(reason))
            {
                failures.push(format!("{way}: {reason:?} is not in the log's reason: {line}"));
            }
        }
    }
    failures
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_our_own_authority() {
    let world = World::new().await;
    let gateway = world.start(CONFIGURATION);
    let mut failures = Vec::new();
    for (name, template, expected) in templates() {
        let issued = world.issuing.issue(&template).unwrap();
        failures.extend(judged(&world, &gateway, name, || Some(issued.identity()), expected).await);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What a client shows.
type Shown<'a> = Box<dyn Fn() -> Option<Identity> + 'a>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_are_revoked_or_from_elsewhere_or_missing() {
    let world = World::new().await;
    let lost = world.issuing.issue(&alice()).unwrap();
    let stranger = demo::Ca::new("Somebody Else's CA").unwrap();
    // The same name as our own authority, another key.
    let impostor = demo::Ca::root(&Template::authority(Name::dod().common_name("Test ID CA-1"), None)).unwrap();
    let self_signed = demo::Ca::root(&alice()).unwrap();
    world.revoke(&[&lost]);
    let gateway = world.start(CONFIGURATION);
    let unknown = Refused {
        reply: "554 5.7.8 Client certificate not accepted: its issuer is not trusted here",
        reason: "unknown issuer",
    };
    let forged = Refused {
        reply: "554 5.7.8 Client certificate not accepted: a signature of its chain is wrong",
        reason: "bad signature",
    };
    let cases: [(&str, Shown<'_>, Expected); 5] = [
        (
            "revoked",
            Box::new(|| Some(lost.identity())),
            Refused { reply: "554 5.7.8 Client certificate not accepted: it has been revoked", reason: "revoked" },
        ),
        (
            "a stranger's",
            {
                let issued = stranger.issue(&alice()).unwrap();
                Box::new(move || Some(issued.identity()))
            },
            unknown,
        ),
        (
            "an impostor's",
            {
                let issued = impostor.issue(&alice()).unwrap();
                Box::new(move || Some(issued.identity()))
            },
            forged,
        ),
        (
            "self-signed",
            Box::new(|| {
                Some(Identity { chain: vec![self_signed.certificate().clone()], key: self_signed.key().private_der() })
            }),
            unknown,
        ),
        (
            "none",
            Box::new(|| None),
            Refused {
                reply: "554 5.7.0 A client certificate is required; none was presented",
                reason: "no client certificate",
            },
        ),
    ];
    let mut failures = Vec::new();
    for (name, identity, expected) in cases {
        failures.extend(judged(&world, &gateway, name, identity, expected).await);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Clients send their own certificate alone, or with what is needed, or with far too much.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_chains_short_and_long() {
    let world = World::new().await;
    let other = world.root.subordinate("Test ID CA-2").unwrap();
    let (now, then) = (SystemTime::now(), SystemTime::now() + DAY);
    let crl = other.crl(&[], now, then).unwrap();
    let crls = std::fs::read_to_string(world.path("pki/crl.pem")).unwrap() + &demo::ca::crl_pem(&crl);
    world.write("pki/crl.pem", crls);
    let gateway = world.start(CONFIGURATION);

    let known = world.issuing.issue(&alice()).unwrap();
    let from_other = other.issue(&alice()).unwrap();
    let alone =
        |issued: &demo::Issued| Identity { chain: vec![issued.chain[0].clone()], key: issued.key.private_der() };
    let stuffed = |issued: &demo::Issued, with: &[CertificateDer<'static>]| Identity {
        chain: issued.chain.iter().chain(with).cloned().collect(),
        key: issued.key.private_der(),
    };
    let unrelated: Vec<_> =
        (0..40).map(|n| demo::Ca::new(&format!("Unrelated {n}")).unwrap().certificate().clone()).collect();
    let unknown = Refused {
        reply: "554 5.7.8 Client certificate not accepted: its issuer is not trusted here",
        reason: "unknown issuer",
    };
    let mut failures = Vec::new();
    failures.extend(judged(&world, &gateway, "leaf alone, issuer configured", || Some(alone(&known)), IS_ALICE).await);
    failures.extend(judged(&world, &gateway, "leaf alone, issuer unknown", || Some(alone(&from_other)), unknown).await);
    failures.extend(judged(&world, &gateway, "leaf and its issuer", || Some(from_other.identity()), IS_ALICE).await);
    let root = [world.root.certificate().clone()];
    failures.extend(judged(&world, &gateway, "with the root", || Some(stuffed(&from_other, &root)), IS_ALICE).await);
    failures.extend(judged(&world, &gateway, "and 40 strangers", || Some(stuffed(&known, &unrelated)), IS_ALICE).await);
    assert!(failures.is_empty(), "{}", failures.join("\n"));

    // Beyond 64 KiB there is no handshake, and no harm: the next client is served.
    let endless: Vec<_> = unrelated.iter().cycle().take(400).cloned().collect();
    for versions in [TlsVersions::Tls12, TlsVersions::Tls13] {
        handshake_fails(&world, &gateway, || stuffed(&known, &endless), versions).await;
    }
    assert_eq!(judged(&world, &gateway, "after that", || Some(alone(&known)), IS_ALICE).await, Vec::<String>::new());
}

/// A certificate is no secret: what counts is its key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_their_private_key() {
    let world = World::new().await;
    let gateway = world.start(CONFIGURATION);
    let thief = world.issuing.issue(&alice()).unwrap();
    let chain = world.identity("alice").chain;
    for versions in [TlsVersions::Tls12, TlsVersions::Tls13] {
        let stolen = || Identity { chain: chain.clone(), key: thief.key.private_der() };
        handshake_fails(&world, &gateway, stolen, versions).await;
    }
}

/// On both doors; in TLS 1.3 a client learns of it with the first thing it reads.
async fn handshake_fails(world: &World, gateway: &Gateway, identity: impl Fn() -> Identity, versions: TlsVersions) {
    for implicit in [false, true] {
        let before = gateway.log_length();
        let tls = world.tls_as(Some(identity()), versions);
        let served = async {
            let mut client = match implicit {
                true => Client::connect(gateway.address("submissions"), Security::Implicit(&tls)).await?,
                false => {
                    let address = gateway.address("submission");
                    let mut client = Client::connect(address, Security::StartTls(&tls)).await?;
                    client.ehlo().await?;
                    client.starttls(&tls).await?;
                    client
                }
            };
            client.ehlo().await
        };
        let served = served.await;
        assert!(served.is_err(), "served: {served:?}");
        let line = gateway.wait_for_log_after(before, "the session", |line| line["message"] == "session");
        assert!(line["end"].as_str().unwrap().starts_with("TLS handshake failed: "), "{line}");
        assert!(line["identity"].is_null(), "{line}");
    }
}

/// What OpenSSL makes and our own CA would not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signed_with_sha1() {
    if !peers::has(&["openssl"]) {
        return;
    }
    let world = World::new().await;
    world.write("pki/sha1.cnf", "extendedKeyUsage=clientAuth\nbasicConstraints=CA:FALSE\n");
    let leaf = world.issue("sha1", &alice());
    let openssl = |arguments: &str| {
        let said = run(command("openssl").args(arguments.split(' ')).current_dir(world.path("pki")));
        assert!(said.success, "{}", said.text);
    };
    openssl(&format!("req -new -key sha1.key -subj /CN={} -out sha1.csr", ALICE.common_name));
    let gateway = world.start(CONFIGURATION);
    let weak = Refused {
        reply: "554 5.7.8 Client certificate not accepted: a key or algorithm of its chain is too weak",
        reason: "SHA-1",
    };
    // By RSA, as was usual, and by a curve with which nobody ever used it.
    for kind in [KeyKind::Rsa2048, KeyKind::EcdsaP384] {
        let old = Template::authority(Name::dod().common_name("Test ID CA-0"), Some(0)).key(kind);
        let old = world.root.subordinate_as(&old).unwrap();
        world.write("pki/old.pem", old.certificate_pem());
        world.write("pki/old.key", old.key().private_pem());
        openssl(
            "x509 -req -sha1 -in sha1.csr -CA old.pem -CAkey old.key -days 2 -CAcreateserial -extfile sha1.cnf -out sha1.pem",
        );
        let signed = CertificateDer::from_pem_file(world.path("pki/sha1.pem")).unwrap();
        let identity =
            || Some(Identity { chain: vec![signed.clone(), old.certificate().clone()], key: leaf.key.private_der() });
        assert_eq!(judged(&world, &gateway, "SHA-1", identity, weak).await, Vec::<String>::new(), "{kind:?}");
    }
}

/// Where no list says whether the certificate is revoked, the client is asked to come again, and stays connected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_revocation_nobody_knows() {
    let world = World::new().await;
    let long_ago = SystemTime::now() - 3 * DAY;
    let stale = world.issuing.crl(&[], long_ago, long_ago + DAY).unwrap();
    world.write("pki/crl.pem", demo::ca::crl_pem(&stale));
    let temporary = world.start(CONFIGURATION);
    let strict = CONFIGURATION.replace("[[crl.source]]", "on_unknown_status = \"reject\"\n\n[[crl.source]]");
    let lax = CONFIGURATION.replace("[[crl.source]]", "on_unknown_status = \"allow\"\n\n[[crl.source]]");
    for implicit in [false, true] {
        let mut client = connect(&temporary, implicit, &world.tls(Some("alice"))).await;
        assert_eq!(client.ehlo().await.unwrap().code(), 250);
        let reply = client.mail("alice@example.mil").await.unwrap().to_string();
        assert_eq!(reply, "454 4.7.0 Temporary authentication failure: certificate status unknown, try again later");
        assert_eq!(client.command("NOOP").await.unwrap().code(), 250);
    }
    drop(temporary);
    let refused = Refused {
        reply: "554 5.7.8 Client certificate not accepted: its revocation status cannot be determined",
        reason: "revocation status unknown",
    };
    for (configuration, expected) in [(strict, refused), (lax, IS_ALICE)] {
        std::fs::remove_dir_all(world.path("state")).unwrap();
        let gateway = world.start(&configuration);
        let failures = judged(&world, &gateway, "stale CRL", || Some(world.identity("alice")), expected).await;
        assert_eq!(failures, Vec::<String>::new());
    }
}
