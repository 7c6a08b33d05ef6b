//! Lists made by openssl: read, verified, replaced, refused; and what they mean for a path.

use std::path::Path;

use crate::common::{CA, CLIENT, Pki, openssl_is_there, wait};
use postern_pki::{
    Certificate, CrlSettings, CrlSourceSettings, CrlStore, Fetcher, Location, Revocation, RevocationMethod,
    RevocationReason, Time, Trust, UnknownStatus, Verdict,
};

fn source(name: &str, primary: &Path) -> CrlSourceSettings {
    CrlSourceSettings {
        name: name.to_owned(),
        format: Default::default(),
        primary: Location::file(primary),
        secondary: None,
        schedule: Some("every 1s".parse().unwrap()),
        enabled: true,
    }
}

fn open(settings: &CrlSettings, issuers: impl Iterator<Item = Certificate>) -> Result<CrlStore, postern_pki::Error> {
    CrlStore::open(settings, issuers, Fetcher::local(), None)
}

fn refresh(crls: &CrlStore, only: Option<&str>) {
    wait(crls.refresh(only));
}

struct World {
    pki: Pki,
    trust: Trust,
    client: Certificate,
}

fn world() -> World {
    let pki = Pki::new();
    pki.root("root");
    let client = pki.client("client", "root");
    let trust = pki.trust_by("root", |settings| settings.revocation = vec![RevocationMethod::Crl]);
    World { pki, trust, client }
}

impl World {
    fn open(&self, sources: Vec<CrlSourceSettings>) -> CrlStore {
        let settings = CrlSettings { source: sources, ..CrlSettings::default() };
        open(&settings, self.trust.certificates()).unwrap()
    }

    fn judge(&self, crls: &CrlStore) -> std::sync::Arc<Verdict> {
        self.trust.verify(&[&self.client], crls, Time::now())
    }

    fn revocation(&self, crls: &CrlStore) -> Revocation {
        self.judge(crls).revocation.clone()
    }
}

#[test]
fn from_good_to_revoked_while_running() {
    if !openssl_is_there() {
        return;
    }
    let world = world();
    world.pki.crl("a.crl", "root", &[], 1);
    let crls = world.open(vec![source("a", &world.pki.path("a.crl"))]);
    assert!(matches!(world.revocation(&crls), Revocation::Good { source, .. } if source == "a"));

    let generation = crls.generation();
    refresh(&crls, None);
    assert_eq!(crls.generation(), generation, "an unchanged file changes nothing");

    world.pki.crl("a.crl", "root", &["1234"], 2);
    refresh(&crls, Some("a"));
    assert_ne!(crls.generation(), generation);
    let revoked = world.judge(&crls);
    let Revocation::Revoked { reason, at, .. } = &revoked.revocation else { panic!("{revoked:?}") };
    assert_eq!((*reason, at.to_string().as_str()), (RevocationReason::KeyCompromise, "2024-01-02T03:00:00Z"));
    let status = crls.status().remove(0);
    assert_eq!((status.lists[0].entries, status.lists[0].number.as_deref(), status.last_error), (1, Some("02"), None));
}

#[test]
fn a_bad_file_keeps_the_last_good_list() {
    if !openssl_is_there() {
        return;
    }
    let world = world();
    world.pki.root("other");
    world.pki.key("imposter", "P-256");
    world.pki.certify("imposter", "imposter", "/C=US/O=Test/CN=root", Some(CA), &[]);
    world.pki.crl("good.crl", "root", &["1234"], 5);
    let good = std::fs::read(world.pki.path("good.crl")).unwrap();
    let der = std::fs::read(world.pki.path("good.crl.der")).unwrap();
    world.pki.crl("old.crl", "root", &[], 4);
    world.pki.crl("forged.crl", "imposter", &[], 6);
    let read = |name: &str| std::fs::read(world.pki.path(name)).unwrap();
    let mut flipped = der.clone();
    let middle = flipped.len() - 20;
    flipped[middle] ^= 1;
    // What the file becomes, and what the status says.
    let rows = [
        (Vec::new(), "no PEM file"),
        (b"hello".to_vec(), "no PEM file"),
        (good[..good.len() / 2].to_vec(), "ends before its -----END line"),
        (der[..der.len() / 2].to_vec(), "ends early"),
        ([&der[..], b"x"].concat(), "bytes after its end"),
        (flipped, "not signed by any certificate"),
        (read("forged.crl"), "not signed by any certificate"),
        (read("old.crl"), "is older than the one in use (of "),
        (vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff], "ends early"),
        (vec![0x30, 0x80, 0x30, 0x80], "length"),
    ];
    let file = world.pki.path("a.crl");
    for (bytes, expected) in rows {
        std::fs::write(&file, &good).unwrap();
        let crls = world.open(vec![source("a", &file)]);
        assert!(matches!(world.revocation(&crls), Revocation::Revoked { .. }));
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, &bytes).unwrap();
        refresh(&crls, None);
        let status = crls.status().remove(0);
        let error = status.last_error.unwrap();
        assert!(error.contains(expected), "{error}");
        assert_eq!(status.lists.len(), 1);
        assert!(matches!(world.revocation(&crls), Revocation::Revoked { .. }), "{error}");
        // The same file, good again, mends it.
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, &good).unwrap();
        refresh(&crls, None);
        assert_eq!(crls.status()[0].last_error, None);
    }
}

#[test]
fn der_pem_and_the_secondary() {
    if !openssl_is_there() {
        return;
    }
    let world = world();
    world.pki.crl("a.crl", "root", &[], 1);
    let mut at_der = source("der", &world.pki.path("a.crl.der"));
    at_der.format = postern_pki::CrlFormat::Asn1;
    let mut at_pem = source("pem", &world.pki.path("a.crl"));
    at_pem.format = postern_pki::CrlFormat::Pem;
    for source in [at_der, at_pem] {
        let crls = world.open(vec![source]);
        assert!(matches!(world.revocation(&crls), Revocation::Good { .. }), "{:?}", crls.status());
    }
    let mut with_secondary = source("two", &world.pki.path("missing.crl"));
    with_secondary.secondary = Some(Location::file(world.pki.path("a.crl")));
    let crls = world.open(vec![with_secondary]);
    assert!(matches!(world.revocation(&crls), Revocation::Good { .. }), "{:?}", crls.status());
    assert!(crls.status()[0].last_error.as_ref().unwrap().contains("missing.crl"), "the primary's failure is told");
}

#[test]
fn unknown_says_why() {
    if !openssl_is_there() {
        return;
    }
    let world = world();
    let unknown = |crls: &CrlStore| match world.revocation(crls) {
        Revocation::Unknown(why) => why,
        other => panic!("{other}"),
    };
    assert!(matches!(unknown(&CrlStore::empty()), UnknownStatus::NoCrl { .. }));

    let missing = world.open(vec![source("gone", &world.pki.path("missing.crl"))]);
    assert!(matches!(unknown(&missing), UnknownStatus::NeverFetched { sources, .. } if sources == "gone"));
    let mut disabled = source("off", &world.pki.path("missing.crl"));
    disabled.enabled = false;
    assert!(matches!(unknown(&world.open(vec![disabled])), UnknownStatus::NoCrl { .. }));

    world.pki.crl_by("short.crl", "root", &[], 1, &["-crlsec", "1"]);
    let mut settings = CrlSettings { source: vec![source("s", &world.pki.path("short.crl"))], ..Default::default() };
    let stale_at = Time::from_unix(Time::now().unix() + 3600);
    let crls = open(&settings, world.trust.certificates()).unwrap();
    let verdict = world.trust.verify(&[&world.client], &crls, stale_at);
    assert!(matches!(verdict.revocation, Revocation::Unknown(UnknownStatus::Stale { .. })), "{verdict:?}");
    settings.grace = "2h".parse().unwrap();
    let crls = open(&settings, world.trust.certificates()).unwrap();
    let verdict = world.trust.verify(&[&world.client], &crls, stale_at);
    assert!(matches!(verdict.revocation, Revocation::Good { .. }), "{verdict:?}");
}

#[test]
fn a_list_without_a_known_issuer_counts_for_chains_that_bring_one() {
    if !openssl_is_there() {
        return;
    }
    let world = world();
    world.pki.key("sub", "P-256");
    let sub = world.pki.certify("sub", "root", "/CN=sub", Some(CA), &["-set_serial", "77"]);
    let below = world.pki.client("below", "sub");
    world.pki.crl("root.crl", "root", &[], 1);
    world.pki.crl("sub.crl", "sub", &[], 1);
    let sources = vec![source("root", &world.pki.path("root.crl")), source("sub", &world.pki.path("sub.crl"))];
    let crls = world.open(sources);
    let verdict = world.trust.verify(&[&below, &sub], &crls, Time::now());
    assert!(matches!(verdict.revocation, Revocation::Good { .. }), "{verdict:?}");
    world.pki.crl("sub.crl", "sub", &["1234"], 2);
    refresh(&crls, None);
    let verdict = world.trust.verify(&[&below, &sub], &crls, Time::now());
    assert!(matches!(verdict.revocation, Revocation::Revoked { .. }), "{verdict:?}");
}

#[test]
fn a_revoked_ca_takes_those_below_with_it_unless_a_bridge_leads_around() {
    if !openssl_is_there() {
        return;
    }
    let world = world();
    world.pki.key("sub", "P-256");
    let sub = world.pki.certify("sub", "root", "/CN=sub", Some(CA), &["-set_serial", "77"]);
    let again = world.pki.certify("sub", "root", "/CN=sub", Some(CA), &["-set_serial", "78"]);
    let below = world.pki.client("below", "sub");
    world.pki.crl("root.crl", "root", &["4D"], 1);
    world.pki.crl("sub.crl", "sub", &[], 1);
    let sources = vec![source("root", &world.pki.path("root.crl")), source("sub", &world.pki.path("sub.crl"))];
    let crls = world.open(sources);
    let verdict = world.trust.verify(&[&below, &sub], &crls, Time::now());
    assert!(matches!(&verdict.revocation, Revocation::Revoked { certificate, .. } if certificate.contains("sub")));
    let verdict = world.trust.verify(&[&below, &sub, &again], &crls, Time::now());
    assert!(matches!(verdict.revocation, Revocation::Good { .. }), "{verdict:?}");
}

#[test]
fn judged_once_until_something_changes() {
    if !openssl_is_there() {
        return;
    }
    let world = world();
    world.pki.crl("a.crl", "root", &[], 1);
    let crls = world.open(vec![source("a", &world.pki.path("a.crl"))]);
    let now = Time::now();
    let first = world.trust.verify(&[&world.client], &crls, now);
    let again = world.trust.verify(&[&world.client], &crls, now.plus(std::time::Duration::from_secs(5)));
    assert!(std::sync::Arc::ptr_eq(&first, &again), "from the cache");
    let Revocation::Good { next_update: Some(next_update), .. } = first.revocation else { panic!() };
    assert_eq!(first.valid_until.unix(), next_update.unix() + 1, "the first thing that ends");
    let later = world.trust.verify(&[&world.client], &crls, first.valid_until);
    assert!(matches!(later.revocation, Revocation::Unknown(UnknownStatus::Stale { .. })));
    let back = world.trust.verify(&[&world.client], &crls, Time::from_unix(world.client.not_before().unix() - 1));
    assert!(back.path.is_err(), "a clock set back is seen");

    // Another store with other lists, the same trust: nothing is borrowed.
    let none = world.trust.verify(&[&world.client], &CrlStore::empty(), now);
    assert!(matches!(none.revocation, Revocation::Unknown(_)));
}

#[test]
fn sources_keep_their_lists_when_the_settings_change() {
    if !openssl_is_there() {
        return;
    }
    let world = world();
    let file = world.pki.path("a.crl");
    world.pki.crl("a.crl", "root", &[], 1);
    let crls = world.open(vec![source("a", &file)]);
    std::fs::write(&file, b"broken").unwrap();
    let settings = CrlSettings { source: vec![source("a", &file)], ..CrlSettings::default() };
    crls.reconfigure(&settings, world.trust.certificates()).unwrap();
    assert!(matches!(world.revocation(&crls), Revocation::Good { .. }));
    let twice = CrlSettings { source: vec![source("a", &file), source("a", &file)], ..CrlSettings::default() };
    assert!(crls.reconfigure(&twice, world.trust.certificates()).unwrap_err().to_string().contains("named `a`"));
    crls.reconfigure(&CrlSettings::default(), world.trust.certificates()).unwrap();
    assert!(matches!(world.revocation(&crls), Revocation::Unknown(_)), "a source that is gone is gone");
}

#[test]
fn due_as_scheduled() {
    if !openssl_is_there() {
        return;
    }
    let world = world();
    let file = world.pki.path("a.crl");
    world.pki.crl("a.crl", "root", &[], 1);
    let mut hourly = source("a", &file);
    hourly.schedule = Some("every 1h".parse().unwrap());
    let crls = world.open(vec![hourly]);
    let now = Time::now();
    world.pki.crl("a.crl", "root", &["1234"], 2);
    let due = wait(crls.refresh_due(now)).unwrap();
    assert!(due > now && due <= now.plus(std::time::Duration::from_secs(3600)));
    assert!(matches!(world.revocation(&crls), Revocation::Good { .. }), "not yet looked at");
    wait(crls.refresh_due(due));
    assert!(matches!(world.revocation(&crls), Revocation::Revoked { .. }));
}

/// What is logged on this thread while `work` lasts, warnings and worse.
fn logged(work: impl FnOnce()) -> String {
    #[derive(Clone, Default)]
    struct Lines(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, work);
    let octets = lines.0.lock().unwrap().clone();
    String::from_utf8(octets).unwrap()
}

#[test]
fn the_log_warns_before_a_list_ends_and_names_who_is_refused_after_it() {
    if !openssl_is_there() {
        return;
    }
    let world = world();
    world.pki.crl_by("a.crl", "root", &[], 1, &["-crlhours", "8"]);
    let crls = world.open(vec![source("a", &world.pki.path("a.crl"))]);
    let next_update = crls.status()[0].lists[0].next_update.unwrap();
    // A newer one is looked for in the last two hours; in the last of them its absence is told.
    let rows = [
        (2 * 3600, ""),
        (3700, ""),
        (3500, "CRL ends soon, and no newer one is there"),
        (1800, ""),
        (-60, "CRL is stale: revocation is unknown for all it is about"),
        (-3600, ""),
    ];
    // On this thread, where the log is listened to.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (before, expected) in rows {
        let now = Time::from_unix(next_update.unix() - before);
        let told = logged(|| assert!(runtime.block_on(crls.refresh_due(now)).is_some()));
        assert!(told.contains(expected) && told.is_empty() == expected.is_empty(), "{before} s before: {told:?}");
        assert!(told.is_empty() || told.contains("source=\"a\""), "{told}");
    }
    let knowledge = postern_pki::Knowledge::of_lists(crls);
    let trust = std::sync::Arc::new(world.trust.clone());
    let verifier = postern_pki::Verifier::new(trust, knowledge, std::time::Duration::ZERO);
    let late = Time::from_unix(next_update.unix() + 60);
    let told = logged(|| drop(runtime.block_on(verifier.verify(&[&world.client], late))));
    for part in ["revocation unknown", "CN=client", "is stale since", "consequence=Temporary", "source a"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn lists_signed_in_every_way() {
    if !openssl_is_there() {
        return;
    }
    let pki = Pki::new();
    let rows: [(&str, &[&str], bool); 5] = [
        ("ed25519", &[], true),
        ("P-521", &["-md", "sha512"], true),
        ("rsa:2048", &["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:100"], true),
        ("rsa:2048", &[], true),
        ("rsa:2048", &["-md", "sha1"], false),
    ];
    for (index, (kind, more, accepted)) in rows.into_iter().enumerate() {
        let root = format!("root{index}");
        pki.key(&root, kind);
        pki.certify(&root, &root, &format!("/CN={root}"), Some(CA), &[]);
        pki.key("client", "P-256");
        let client = pki.certify("client", &root, "/CN=client", Some(CLIENT), &[]);
        pki.crl_by("a.crl", &root, &["1234"], 1, &[&["-crldays", "30"], more].concat());
        let trust = pki.trust_by(&root, |settings| settings.revocation = vec![RevocationMethod::Crl]);
        let settings = CrlSettings { source: vec![source("a", &pki.path("a.crl"))], ..CrlSettings::default() };
        let crls = open(&settings, trust.certificates()).unwrap();
        let verdict = trust.verify(&[&client], &crls, Time::now());
        let revoked = matches!(verdict.revocation, Revocation::Revoked { .. });
        assert_eq!(revoked, accepted, "{kind} {more:?}: {}", verdict.revocation);
    }
}
