//! Sources of lists on web servers: fetched, refreshed, kept, refused.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use postern_pki::{
    Certificate, CrlSettings, CrlSourceSettings, CrlStore, FetchSettings, Fetcher, Knowledge, Revocation,
    RevocationMethod, SourceStatus, Time, Trust, UnknownStatus, Verifier,
};
use tempfile::TempDir;

use crate::common::{CLIENT, Pki, openssl_is_there, wait};
use crate::peers::{Peer, closed_port, is_there, requests, until};

struct World {
    pki: Pki,
    trust: Trust,
    client: Certificate,
    /// What the web server serves.
    www: TempDir,
    web: Peer,
    /// Where lists are kept.
    state: TempDir,
}

fn world() -> Option<World> {
    if !openssl_is_there() || !is_there("python3", &["--version"]) {
        return None;
    }
    let pki = Pki::new();
    pki.root("root");
    let client = pki.client("client", "root");
    let trust = pki.trust_by("root", |settings| settings.revocation = vec![RevocationMethod::Crl]);
    let www = tempfile::tempdir().unwrap();
    let web = Peer::web(www.path(), None);
    Some(World { pki, trust, client, www, web, state: tempfile::tempdir().unwrap() })
}

fn source(primary: &str) -> CrlSourceSettings {
    toml::from_str(&format!("name = 'a'\nprimary = '{primary}'\nschedule = 'every 1h'")).unwrap()
}

fn fetcher(settings: &str) -> Fetcher {
    Fetcher::new(&toml::from_str::<FetchSettings>(settings).unwrap()).unwrap()
}

impl World {
    /// Puts a list of these serials where the web server finds it.
    fn publish(&self, serials: &[&str], number: u32) {
        self.publish_by(serials, number, &["-crldays", "30"]);
    }

    fn publish_by(&self, serials: &[&str], number: u32, more: &[&str]) {
        self.pki.crl_by("list", "root", serials, number, more);
        std::fs::rename(self.pki.path("list.der"), self.list()).unwrap();
    }

    fn list(&self) -> PathBuf {
        self.www.path().join("list.crl")
    }

    fn open(&self, source: CrlSourceSettings) -> CrlStore {
        self.open_by(CrlSettings { source: vec![source], ..CrlSettings::default() }, fetcher("timeout = '2s'"))
    }

    fn open_by(&self, settings: CrlSettings, fetcher: Fetcher) -> CrlStore {
        CrlStore::open(&settings, self.trust.certificates(), fetcher, Some(self.state.path())).unwrap()
    }

    /// The status after one look at the source.
    fn look(&self, crls: &CrlStore) -> SourceStatus {
        assert!(wait(crls.refresh(Some("a"))));
        crls.status().remove(0)
    }

    fn revocation(&self, crls: &CrlStore) -> Revocation {
        self.trust.verify(&[&self.client], crls, Time::now()).revocation.clone()
    }

    fn is_good(&self, crls: &CrlStore) -> bool {
        matches!(self.revocation(crls), Revocation::Good { .. })
    }

    fn is_revoked(&self, crls: &CrlStore) -> bool {
        matches!(self.revocation(crls), Revocation::Revoked { .. })
    }
}

/// Modified in another second, or HTTP could not tell.
fn modify_later(world: &World) {
    let later = std::time::SystemTime::now() + Duration::from_secs(5);
    std::fs::File::open(world.list()).unwrap().set_modified(later).unwrap();
}

/// How many files are kept, downloads under way left out.
fn kept(world: &World) -> usize {
    let names = std::fs::read_dir(world.state.path()).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| !name.to_string_lossy().starts_with('.')).count()
}

#[test]
fn asked_again_only_whether_it_has_changed() {
    let Some(world) = world() else { return };
    for manner in ["plain", "etag"] {
        world.publish(&[], 1);
        let crls = world.open(source(&world.web.http(&format!("{manner}/list.crl"))));
        assert!(matches!(world.revocation(&crls), Revocation::Unknown(UnknownStatus::NeverFetched { .. })));
        let status = world.look(&crls);
        assert!(world.is_good(&crls), "{status:?}");
        let (_, from) = status.fetched_at.unwrap();
        assert_eq!(from.to_string(), world.web.http(&format!("{manner}/list.crl")));
        assert_eq!(status.octets, Some(std::fs::metadata(world.list()).unwrap().len()));
        let generation = crls.generation();
        assert_eq!(world.look(&crls).last_error, None);
        assert_eq!(crls.generation(), generation, "an unchanged list changes nothing");
        world.publish(&["1234"], 2);
        modify_later(&world);
        world.look(&crls);
        assert!(world.is_revoked(&crls));
    }
    let log = requests(world.www.path()).join("\n");
    let expected = ["plain", "etag"]
        .map(|manner| [200, 304, 200].map(|status| format!("GET /{manner}/list.crl {status}")).join("\n"));
    assert_eq!(log, expected.join("\n"));
}

#[test]
fn redirects_are_followed_within_bounds() {
    let Some(world) = world() else { return };
    world.publish(&[], 1);
    let outside = tempfile::NamedTempFile::new().unwrap();
    std::fs::copy(world.list(), outside.path()).unwrap();
    let rows = [
        ("hops/4/list.crl".to_owned(), ""),
        ("chunked/list.crl".to_owned(), ""),
        ("hops/5/list.crl".to_owned(), "too many"),
        (format!("to/file://{}", outside.path().display()), "only http and https"),
        ("to/ldap://127.0.0.1/cn=x".to_owned(), "only http and https"),
        ("to/http%3A%2F%2Fuser%3Asecret%40127.0.0.1".to_owned(), "only http and https"),
    ];
    for (path, expected) in rows {
        let world = World { state: tempfile::tempdir().unwrap(), ..self::world().unwrap() };
        world.publish(&[], 1);
        let crls = world.open(source(&world.web.http(&path)));
        let error = world.look(&crls).last_error.unwrap_or_default();
        assert!(error.contains(expected) && error.is_empty() == expected.is_empty(), "{path}: {error}");
        assert_eq!(world.is_good(&crls), expected.is_empty(), "{path}");
    }
}

#[test]
fn bad_servers_cost_little_and_the_last_good_list_stays() {
    let Some(world) = world() else { return };
    world.publish(&[], 1);
    let list = std::fs::read(world.list()).unwrap();
    let crls = world.open(source(&world.web.http("plain/list.crl")));
    world.look(&crls);
    std::fs::write(world.www.path().join("large"), vec![0; 70_000]).unwrap();
    std::fs::write(world.www.path().join("text"), "<html>not here</html>").unwrap();
    std::fs::write(world.www.path().join("half"), &list[..list.len() / 2]).unwrap();
    let rows = [
        ("truncated/list.crl", "cut short"),
        ("plain/half", "ends early"),
        ("plain/text", "no PEM file"),
        ("plain/large", "larger than 65536 octets"),
        ("chunked/large", "larger than 65536 octets"),
        ("endless/", "larger than 65536 octets"),
        ("drip/", "not done within 2s"),
        ("silent/", "not done within 2s"),
        ("gzip/list.crl", "content coding"),
        ("404/", "HTTP 404"),
        ("500/", "HTTP 500"),
    ];
    for (path, expected) in rows {
        let settings =
            CrlSettings { source: vec![source(&world.web.http(path))], max_size: 65_536, ..CrlSettings::default() };
        crls.reconfigure(&settings, world.trust.certificates()).unwrap();
        let began = Instant::now();
        let status = world.look(&crls);
        let error = status.last_error.unwrap_or_default();
        assert!(error.contains(expected), "{path}: {error}");
        assert!(began.elapsed() < Duration::from_secs(8), "{path} took {:?}", began.elapsed());
        assert!(world.is_good(&crls) && status.lists.len() == 1, "{path}");
        let soon = status.next_look.unwrap().since(Time::now());
        assert!(soon < Duration::from_secs(60), "{path} is asked again soon, and not in {soon:?}");
    }
    let nobody = source(&format!("http://127.0.0.1:{}/list.crl", closed_port()));
    crls.reconfigure(&CrlSettings { source: vec![nobody], ..CrlSettings::default() }, world.trust.certificates())
        .unwrap();
    assert!(world.look(&crls).last_error.unwrap().contains("can't connect"));
    assert!(world.is_good(&crls));
}

#[test]
fn the_secondary_is_tried_at_once() {
    let Some(world) = world() else { return };
    world.publish(&[], 1);
    let mut with_secondary = source(&world.web.http("500/"));
    with_secondary.secondary = Some(world.web.http("plain/list.crl").parse().unwrap());
    let crls = world.open(with_secondary);
    let status = world.look(&crls);
    assert!(world.is_good(&crls));
    assert!(status.last_error.unwrap().contains("HTTP 500"), "the primary's failure is told");
    assert!(status.fetched_at.unwrap().1.to_string().ends_with("/plain/list.crl"));
    assert_eq!(status.lists.len(), 1);
}

#[test]
fn a_restart_begins_with_what_was_kept_and_replays_are_refused() {
    let Some(world) = world() else { return };
    world.publish(&[], 4);
    let old = std::fs::read(world.list()).unwrap();
    world.publish(&["1234"], 5);
    let at = world.web.http("plain/list.crl");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let crls = world.open(source(&at));
    // Only the gateway writes: a look by a tool leaves nothing behind.
    world.look(&crls);
    assert_eq!(kept(&world), 0);
    let crls = world.open(source(&at));
    let running = runtime.spawn({
        let crls = crls.clone();
        async move { crls.run().await }
    });
    runtime.block_on(until("the list is fetched and kept", || world.is_revoked(&crls) && kept(&world) == 2));
    running.abort();

    // The server is gone, or gives an older list: what was kept is in use at once.
    std::fs::write(world.list(), old).unwrap();
    modify_later(&world);
    let crls = world.open(source(&at));
    assert!(world.is_revoked(&crls), "{:?}", crls.status());
    let status = world.look(&crls);
    assert!(status.last_error.unwrap().contains("is older than the one in use"));
    assert!(world.is_revoked(&crls));

    // What is kept is verified again: a changed file is worth nothing.
    let kept = std::fs::read_dir(world.state.path()).unwrap().map(|entry| entry.unwrap().path());
    let kept = kept.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "crl")).unwrap();
    let mut octets = std::fs::read(&kept).unwrap();
    let at_entry = octets.windows(2).position(|pair| pair == [0x12, 0x34]).unwrap();
    octets[at_entry] ^= 1;
    std::fs::write(&kept, octets).unwrap();
    let crls = world.open(source(&at));
    assert!(matches!(world.revocation(&crls), Revocation::Unknown(_)));
}

#[test]
fn a_kept_list_is_only_asked_after() {
    let Some(world) = world() else { return };
    world.publish(&[], 1);
    let at = world.web.http("etag/list.crl");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for expected in [200, 304] {
        let crls = world.open(source(&at));
        let running = runtime.spawn({
            let crls = crls.clone();
            async move { crls.run().await }
        });
        let wanted = format!("GET /etag/list.crl {expected}");
        runtime.block_on(until("it is asked for", || requests(world.www.path()).contains(&wanted)));
        runtime.block_on(until("it is kept", || kept(&world) == 2 && world.is_good(&crls)));
        running.abort();
    }
    assert_eq!(requests(world.www.path()).len(), 2);
}

#[test]
fn a_newer_list_is_looked_for_before_the_old_one_ends() {
    let Some(world) = world() else { return };
    world.publish_by(&[], 1, &["-crlhours", "8"]);
    let mut weekly = source(&world.web.http("plain/list.crl"));
    weekly.schedule = Some("0 0 * * 0".parse().unwrap());
    let crls = world.open(weekly);
    let status = world.look(&crls);
    let next_update = status.lists[0].next_update.unwrap();
    let left = next_update.since(status.next_look.unwrap());
    // A quarter of the eight hours before the end, and a little disorder.
    assert!((5000..=7200).contains(&left.as_secs()), "{left:?}");
}

#[test]
fn https_by_a_ca_of_ours_and_never_down_to_http() {
    let Some(world) = world() else { return };
    world.publish(&[], 1);
    world.pki.key("server", "P-256");
    let extensions = CLIENT.replace("clientAuth", "serverAuth") + "\nsubjectAltName=IP:127.0.0.1";
    world.pki.certify("server", "root", "/CN=server", Some(&extensions), &[]);
    let secure = Peer::web(world.www.path(), Some((&world.pki.path("server.pem"), &world.pki.path("server.key"))));
    let ours = fetcher(&format!("ca = ['{}']", world.pki.path("root.pem").display()));
    let plain = world.web.http("plain/list.crl").replace('/', "%2F");
    let rows = [
        ("plain/list.crl".to_owned(), ours.clone(), ""),
        ("plain/list.crl".to_owned(), fetcher(""), "no TLS with"),
        (format!("to/{plain}"), ours, "from https only https is followed"),
    ];
    for (path, fetcher, expected) in rows {
        let at = source(&format!("https://127.0.0.1:{}/{path}", secure.port));
        let state = tempfile::tempdir().unwrap();
        let settings = CrlSettings { source: vec![at], ..CrlSettings::default() };
        let crls = CrlStore::open(&settings, world.trust.certificates(), fetcher, Some(state.path())).unwrap();
        let error = world.look(&crls).last_error.unwrap_or_default();
        assert!(error.contains(expected) && error.is_empty() == expected.is_empty(), "{path}: {error}");
        assert_eq!(world.is_good(&crls), expected.is_empty());
    }
}

#[test]
fn distribution_points_are_followed_where_that_is_allowed() {
    let Some(world) = world() else { return };
    world.publish(&["1234"], 1);
    let point = world.web.http("plain/list.crl");
    let extensions = format!("{CLIENT}\ncrlDistributionPoints=URI:{point}");
    world.pki.key("pointed", "P-256");
    let good = world.pki.certify("pointed", "root", "/CN=pointed", Some(&extensions), &["-set_serial", "77"]);
    let revoked = world.pki.certify("pointed", "root", "/CN=pointed", Some(&extensions), &[]);
    let rows = [
        (true, "allowed_hosts = ['127.0.0.1']", true),
        (false, "allowed_hosts = ['127.0.0.1']", false),
        (true, "allowed_hosts = ['.example.mil']", false),
        (true, "", false),
    ];
    for (follow, allowed, expected) in rows {
        let settings = CrlSettings { follow_distribution_points: follow, ..CrlSettings::default() };
        let crls = world.open_by(settings, fetcher(allowed));
        let knowledge = Knowledge::of_lists(crls.clone());
        let verifier = Verifier::new(Arc::new(world.trust.clone()), knowledge, Duration::from_secs(5));
        let verdict = wait(verifier.verify(&[&good], Time::now()));
        assert_eq!(matches!(verdict.revocation, Revocation::Good { .. }), expected, "{verdict:?}");
        let verdict = wait(verifier.verify(&[&revoked], Time::now()));
        assert_eq!(matches!(verdict.revocation, Revocation::Revoked { .. }), expected, "{verdict:?}");
        assert_eq!(
            crls.status().iter().filter(|source| source.followed && source.name == point).count(),
            usize::from(expected)
        );
    }
    assert_eq!(requests(world.www.path()).len(), 1, "once, and by nobody who may not");
}
