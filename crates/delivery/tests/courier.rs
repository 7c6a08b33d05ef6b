//! Building a courier: every mistake at once, each with its place.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod peers;

use peers::{envelope, means};
use postern_delivery::{Courier, DeliveryError, Origin, RouteSettings};
use protocol::ReversePath;

#[derive(serde::Deserialize)]
struct File {
    route: Vec<RouteSettings>,
}

fn build(toml: &str) -> Result<Courier, Vec<DeliveryError>> {
    let file: File = toml::from_str(toml).unwrap();
    Courier::new(&file.route, &means())
}

#[test]
fn the_first_route_that_matches() {
    let courier = build(
        "[[route]]\ndomains = ['special.example.org']\nhosts = ['a']\ntls = 'none'\nmax_connections = 1\n\
         [[route]]\ndomains = ['.example.org', 'example.org']\nhosts = ['b']\ntls = 'none'\nmax_connections = 2\n",
    )
    .unwrap();
    let connections = |text: &str| {
        let envelope = envelope(&[&format!("bob@{text}")]);
        courier.destination(&Origin::default(), &envelope, 0).map(|destination| courier.max_connections(&destination))
    };
    assert_eq!(connections("special.example.org"), Some(1));
    assert_eq!(connections("other.example.org"), Some(2));
    assert_eq!(connections("example.org"), Some(2));
    assert_eq!(connections("example.com"), None);
}

#[test]
fn routes_by_who_sends_and_where_it_came_in() {
    let route = |condition: &str| {
        let number = condition.len() + 1;
        format!("[[route]]\ndomains = ['*']\n{condition}\nhosts = ['a']\ntls = 'none'\nmax_connections = {number}\n")
    };
    let conditions = [
        "listeners = ['partners']",
        "policies = ['office', 'field']",
        "identities = ['alice']",
        "senders = ['@news.example.org']",
        "",
    ];
    let courier = build(&conditions.map(route).concat()).unwrap();
    let taken = |listener: &str, policy: &str, identity: &str, sender: &str| {
        let origin =
            Origin { listener: listener.into(), policy: policy.into(), identity: identity.into(), client: None };
        let reverse_path = protocol::Mailbox::parse(sender).map_or(ReversePath::Null, ReversePath::Mailbox);
        let envelope = protocol::Envelope { reverse_path, ..envelope(&["bob@example.net"]) };
        let destination = courier.destination(&origin, &envelope, 0).unwrap();
        let number = courier.max_connections(&destination);
        conditions.iter().find(|condition| condition.len() + 1 == number).copied().unwrap()
    };
    assert_eq!(taken("partners", "office", "alice", "a@news.example.org"), conditions[0], "the first that matches");
    assert_eq!(taken("submission", "field", "alice", "a@news.example.org"), conditions[1]);
    assert_eq!(taken("submission", "other", "alice", "a@news.example.org"), conditions[2]);
    assert_eq!(taken("submission", "other", "bob", "a@news.example.org"), conditions[3]);
    assert_eq!(taken("submission", "other", "", "a@example.org"), conditions[4]);
    assert_eq!(taken("", "", "", "<>"), conditions[4], "a notice of the gateway's own");
}

#[test]
fn a_password_goes_to_whom_it_is_for() {
    let folder = tempfile::tempdir().unwrap();
    let (file, empty) = (folder.path().join("password"), folder.path().join("empty"));
    std::fs::write(&file, "hunter2\n").unwrap();
    std::fs::write(&empty, "\n").unwrap();
    let secret = format!("username = 'bob', password_file = '{}'", file.display());
    let table = [
        ("hosts = ['127.0.0.1', 'localhost']\ntls = 'none'", secret.clone(), ""),
        ("hosts = ['a']\nca = 'CA'", secret.clone(), ""),
        ("hosts = ['a']\ntls = 'require'", "mechanisms = ['EXTERNAL']".to_owned(), ""),
        ("hosts = ['a']\ntls = 'require'", format!("{secret}, to_anybody = true"), ""),
        ("hosts = ['a']\ntls = 'require'", secret.clone(), "whoever answers"),
        ("hosts = ['localhost', 'a']\ntls = 'may'", secret.clone(), "whoever answers"),
        ("hosts = ['localhost']\ntls = 'none'", format!("{secret}, mechanisms = ['EXTERNAL']"), "has no password_file"),
        ("hosts = ['localhost']\ntls = 'none'", "mechanisms = ['PLAIN']".to_owned(), "need username and password_file"),
        ("hosts = ['localhost']\ntls = 'none'", format!("{secret}, mechanisms = []"), "no mechanism is left"),
        ("hosts = ['localhost']\ntls = 'none'", secret.replace("bob", ""), "needs a username"),
        (
            "hosts = ['localhost']\ntls = 'none'",
            secret.replace(file.to_str().unwrap(), empty.to_str().unwrap()),
            "there is no password in it",
        ),
    ];
    let pki = demo::Pki::create(folder.path()).unwrap();
    for (route, auth, expected) in table {
        let route = route.replace("CA", pki.path("ca.pem").to_str().unwrap());
        let built = build(&format!("[[route]]\ndomains = ['*']\n{route}\nauth = {{ {auth} }}\n"));
        let found = built.err().map(|errors| errors[0].to_string()).unwrap_or_default();
        assert_eq!(found.is_empty(), expected.is_empty(), "{route} {auth}: {found}");
        assert!(found.contains(expected) && !found.contains("hunter2"), "{found}");
    }
}

#[test]
fn all_mistakes_with_their_places() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "nothing\n").unwrap();
    let toml = format!(
        "[[route]]\ndomains = []\nhosts = []\ntls = 'none'\nmax_connections = 0\n\
         [[route]]\ndomains = ['*']\nhosts = ['a']\ntls = 'may'\nimplicit_tls = true\n\
         [[route]]\ndomains = ['*']\nhosts = ['a']\ntls = 'require'\nca = 'x.pem'\n\
         [[route]]\ndomains = ['*']\nhosts = ['a']\nca = '/nonexistent/ca.pem'\n\
         [[route]]\ndomains = ['*']\nhosts = ['a']\nca = '{}'\n\
         [[route]]\ndomains = ['*']\nhosts = ['a:24', 'b']\nprotocol = 'lmtp'\ntls = 'none'\n\
         [[route]]\ndomains = ['*']\nhosts = ['a']\ntls = 'may'\ntrust = 'x'\n\
         [[route]]\ndomains = ['*']\nhosts = ['a']\nca = 'ca.pem'\ntrust = 'y'\n\
         [[route]]\ndomains = ['*']\nhosts = ['a']\ntls = 'none'\nclient_certificate = {{ certificate = 'c', key = 'k' }}\n\
         [[route]]\ndomains = ['*']\nhosts = ['a']\ntls = 'may'\nclient_certificate = {{ certificate = '/nonexistent/c', key = 'k' }}\n\
         [[route]]\ndomains = ['*']\nhosts = ['mx']\ntls = 'none'\nprotocol = 'lmtp'\n\
         [[route]]\ndomains = ['*']\nhosts = ['a']\ntls = 'none'\nsource = ['192.0.2.1', '192.0.2.2']\n\
         [[route]]\ndomains = ['*']\nhosts = ['a']\nmaildir = {{ path = '/m' }}\n\
         [[route]]\ndomains = ['*']\ndkim = true\nmaildir = {{ path = '/n' }}\n\
         [[route]]\ndomains = ['nowhere.example']\n",
        empty.display()
    );
    let errors = build(&toml).unwrap_err();
    let found: Vec<String> = errors.iter().map(|error| format!("{}: {error}", &toml[error.span().unwrap()])).collect();
    let expected = [
        "[]: a route needs at least one domain; \"*\" means all",
        "[]: a route needs at least one host, or a maildir",
        "0: max_connections must be at least 1",
        "true: implicit_tls needs tls = \"require\" or \"verify\"",
        "'x.pem': ca is for tls = \"verify\" and \"mta-sts\"",
        "'/nonexistent/ca.pem': can't read /nonexistent/ca.pem",
        "empty.pem",
        "['a:24', 'b']: b:25: LMTP is not spoken on port 25; write the port, such as b:24",
        "'x': trust is for tls = \"verify\" and \"mta-sts\"",
        "'y': a route has ca or trust, not both",
        "client_certificate needs TLS",
        "cannot read /nonexistent/c: No such file or directory (os error 2); certificate and key name two PEM files",
        "['mx']: hosts = [\"mx\"] is for protocol = \"smtp\"",
        "['192.0.2.1', '192.0.2.2']: source has at most one IPv4 and one IPv6 address",
        "{ path = '/m' }: a route has hosts or maildir, not both",
        "{ path = '/n' }: dkim is about hosts",
        "['nowhere.example']: a route needs at least one host, or a maildir",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.contains(expected), "{found}\n{expected}");
    }
}
