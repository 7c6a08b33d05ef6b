use std::path::Path;

use demo::{Pki, pki::ALICE, pki::BOB};
use pki::{CrlSettings, CrlSourceSettings, CrlStore, TrustSettings};

use super::*;
use crate::principal::Principal;
use crate::rules::OnProblem;
use protocol::Mailbox;

const ALICE_PASSWORD: &str = "alice-pw";

fn settings(text: &str) -> Settings {
    toml::from_str(text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_designs_profile_is_read() {
    let settings = settings(
        r#"
        certificate = { trust = "dod", directory = "corporate" }
        password = { directory = "corporate", mechanisms = ["PLAIN", "LOGIN"], on_not_allowed = "monitor" }
        on_missing = "fallback"
        on_invalid = "fallback"
        on_no_match = "reject"
        recheck_after = "90s"
        "#,
    );
    assert_eq!(settings.contradictions(), []);
    assert_eq!(settings.recheck_after.0.as_secs(), 90);
    let rules = settings.rules(None);
    assert_eq!(rules.certificate, None);
    let password = rules.password.unwrap();
    assert_eq!(password.mechanisms, [Mechanism::Plain, Mechanism::Login]);
    assert_eq!(password.on_not_allowed, crate::rules::OnNotAllowed::Monitor);
}

#[test]
fn defaults_are_the_strict_ones() {
    let settings = settings("certificate = { trust = \"dod\" }\npassword = { directory = \"d\" }");
    let folder = tempfile::tempdir().unwrap();
    let bed = Bed::new(folder.path(), "");
    let rules = settings.rules(Some(&bed.trust));
    let certificate = rules.certificate.unwrap();
    assert_eq!(
        (certificate.on_missing, certificate.on_invalid, certificate.on_no_match),
        (OnProblem::Reject, OnProblem::Reject, OnProblem::Reject)
    );
    assert_eq!(certificate.on_unknown_status, OnUnknownStatus::Temporary);
    assert_eq!(rules.password.unwrap().mechanisms, [Mechanism::Plain, Mechanism::Login]);
    assert_eq!(rules.recheck_after.as_secs(), 300);
}

#[test]
fn contradictions_are_named() {
    for (text, key, says) in [
        ("", "", "neither certificate nor password"),
        (
            "password = { forward = \"f\", mechanisms = [\"PLAIN\", \"SCRAM-SHA-256\"] }",
            "password.forward",
            "leave SCRAM out",
        ),
        ("password = { directory = \"d\" }\non_missing = \"reject\"", "on_missing", "without `certificate`"),
        ("certificate = { trust = \"t\" }\non_no_match = \"reject\"", "on_no_match", "without `certificate.directory`"),
        ("certificate = { trust = \"t\" }\non_invalid = \"fallback\"", "on_invalid", "no `password` to fall back to"),
        ("password = { mechanisms = [\"PLAIN\"] }", "password", "neither directory nor forward"),
        ("password = { directory = \"d\", forward = \"f\" }", "password.forward", "one of them judges passwords"),
        (
            "password = { forward = \"f\", on_not_allowed = \"reject\" }",
            "password.on_not_allowed",
            "a forward has no allowance query",
        ),
    ] {
        let found = settings(text).contradictions();
        let [one] = found.as_slice() else { panic!("{text}: {found:?}") };
        assert!(one.key == key && one.text.contains(says), "{text}: {one:?}");
        assert!(key.is_empty() || text[one.span.clone()].starts_with(['"', '{']), "{text}: {one:?}");
    }
}

#[test]
fn unreadable_settings_say_what_would_be_right() {
    for (text, says) in [
        (
            "certificate = { trust = \"t\", dir = \"d\" }",
            "unknown field `dir`, expected one of `trust`, `directory`, `addresses_from`",
        ),
        ("on_missing = \"accept\"", "unknown variant `accept`, expected `reject` or `fallback`"),
        ("recheck_after = \"soon\"", "90s"),
        ("password = { directory = \"d\", mechanisms = [] }", "no mechanism: write [\"PLAIN\", \"LOGIN\"]"),
        ("password = { directory = \"d\", mechanisms = [\"plain\", \"PLAIN\"] }", "a mechanism stands twice"),
        ("password = { directory = \"d\", mechanisms = [\"EXTERNAL\"] }", "EXTERNAL proves no password"),
        ("password = { directory = \"d\", mechanisms = [\"CRAM-MD5\"] }", "PLAIN, LOGIN, EXTERNAL, SCRAM-SHA-256"),
    ] {
        let error = toml::from_str::<Settings>(text).unwrap_err();
        assert!(error.message().contains(says), "{text}: {error}");
    }
}

struct Bed {
    pki: Pki,
    trust: Arc<Trust>,
    crls: CrlStore,
    directory: Arc<Directory>,
}

impl Bed {
    /// The demo's PKI and a people file; `more` goes to the trust's settings.
    fn new(folder: &Path, more: &str) -> Self {
        let pki = Pki::create(folder).unwrap();
        let path = |file: &str| pki.path(file).to_str().unwrap().to_owned();
        let text = format!("anchors = [{:?}]\nintermediates = [{:?}]\n{more}", path("ca.pem"), path("issuing.pem"));
        let trust = Trust::load("demo", &toml::from_str::<TrustSettings>(&text).unwrap()).unwrap();
        let crls = CrlSettings {
            source: vec![CrlSourceSettings {
                name: "demo".to_owned(),
                format: Default::default(),
                primary: pki::Location::file(pki.path("crl.pem")),
                secondary: None,
                schedule: Default::default(),
                enabled: true,
            }],
            ..CrlSettings::default()
        };
        let crls = CrlStore::open(&crls, trust.certificates(), pki::Fetcher::local(), None).unwrap();
        let hash = directory::hash_password(&Password::new(ALICE_PASSWORD)).unwrap();
        // The second address is none, and is left out.
        let people = format!(
            "[[person]]\nuser_id = \"alice\"\naddresses = [{:?}, \"a@b@example.mil\"]\n\
             send_as = [\"support@example.mil\", \"@lists.example.mil\", \"@\u{200d}..\"]\n\
             password = {hash:?}\ncertificate = {{ edipi = {:?} }}\n",
            ALICE.email, ALICE.edipi
        );
        let file = folder.join("people.toml");
        std::fs::write(&file, people).unwrap();
        let text = format!(
            "kind = \"file\"\npath = {:?}\nsmtp_auth_query.allowance = \"(!(uid={{a}}))\"",
            file.to_str().unwrap()
        );
        let directory = Directory::open("people", &toml::from_str(&text).unwrap()).unwrap();
        Self { pki, trust: Arc::new(trust), crls, directory: Arc::new(directory) }
    }

    fn profile(&self, directory: bool) -> Profile {
        self.profile_with("", directory)
    }

    fn profile_with(&self, certificate: &str, directory: bool) -> Profile {
        let certificate = format!("certificate = {{ trust = \"demo\"{certificate} }}");
        let settings = settings(&format!("{certificate}\npassword = {{ directory = \"people\" }}"));
        let people = directory.then(|| Arc::clone(&self.directory));
        let knowledge = pki::Knowledge::of_lists(self.crls.clone());
        let verifier = pki::Verifier::new(Arc::clone(&self.trust), knowledge, std::time::Duration::ZERO);
        let password = PasswordSource::Directory(Arc::clone(&self.directory));
        Profile::new("cac", &settings, Some((verifier, people)), Some(password))
    }

    async fn ask(&self, profile: &Profile, name: &str) -> (PresentedCertificate, String) {
        let asked = profile.certificate(&self.pki.identity(name).unwrap().chain, Time::now()).await;
        (asked.presented, asked.steps.join("\n"))
    }
}

fn alice() -> Principal {
    Principal {
        user_id: "alice".to_owned(),
        addresses: vec![Mailbox::parse(ALICE.email).unwrap()],
        send_as: ["support@example.mil", "@lists.example.mil"].map(|text| text.parse().unwrap()).to_vec(),
    }
}

#[tokio::test]
async fn the_demos_certificates_as_facts() {
    let folder = tempfile::tempdir().unwrap();
    let bed = Bed::new(folder.path(), "");
    let profile = bed.profile(true);

    let (facts, steps) = bed.ask(&profile, "alice").await;
    assert!(facts.subject.starts_with(&format!("CN={}", ALICE.common_name)), "{facts:?}");
    assert_eq!(facts.path, Ok(()), "{steps}");
    assert!(matches!(facts.revocation, Revocation::Good { .. }), "{facts:?}");
    assert_eq!(facts.query, QueryFact::One(alice()));
    assert!(steps.ends_with("directory people: the certificate is alice's"), "{steps}");

    let (facts, steps) = bed.ask(&profile, "bob").await;
    let QueryFact::Nobody(why) = &facts.query else { panic!("{facts:?}") };
    assert!(why.contains(BOB.edipi) && steps.contains("nobody: "), "{why} {steps}");

    // What is refused whatever the directory says is not asked about.
    let (facts, _) = bed.ask(&profile, "expired").await;
    assert!(matches!(facts.path, Err(pki::PathError::Expired { .. })), "{facts:?}");
    assert_eq!(facts.query, QueryFact::NotAsked);
    let (facts, _) = bed.ask(&profile, "stranger").await;
    assert!(matches!(facts.path, Err(pki::PathError::UnknownIssuer { .. })), "{facts:?}");
    assert_eq!(facts.query, QueryFact::NotAsked);
    let (facts, _) = bed.ask(&profile, "revoked").await;
    assert!(facts.path.is_ok() && matches!(facts.revocation, Revocation::Revoked { .. }), "{facts:?}");
    assert_eq!(facts.query, QueryFact::NotAsked);

    let (facts, _) = bed.ask(&bed.profile(false), "alice").await;
    assert_eq!((facts.path, facts.query), (Ok(()), QueryFact::NotAsked));
}

#[tokio::test]
async fn addresses_come_from_where_the_setting_says() {
    let folder = tempfile::tempdir().unwrap();
    let bed = Bed::new(folder.path(), "");
    // Her card says something else than the directory.
    let people = std::fs::read_to_string(folder.path().join("people.toml")).unwrap();
    std::fs::write(folder.path().join("people.toml"), people.replace(ALICE.email, "alice@directory.example")).unwrap();
    let file = folder.path().join("people.toml");
    let settings = toml::from_str(&format!("kind = \"file\"\npath = {:?}", file.to_str().unwrap())).unwrap();
    let bed = Bed { directory: Arc::new(Directory::open("people", &settings).unwrap()), ..bed };
    let chain = bed.pki.identity("alice").unwrap().chain;
    for (sources, expected) in [
        ("", &["alice@directory.example"][..]),
        ("[\"directory\"]", &["alice@directory.example"]),
        ("[\"certificate\"]", &[ALICE.email]),
        ("[\"directory\", \"certificate\"]", &["alice@directory.example", ALICE.email]),
        ("[\"certificate\", \"directory\"]", &[ALICE.email, "alice@directory.example"]),
    ] {
        let setting = if sources.is_empty() { String::new() } else { format!(", addresses_from = {sources}") };
        let asked = bed.profile_with(&setting, true).certificate(&chain, Time::now()).await;
        let QueryFact::One(principal) = asked.presented.query else { panic!("{:?}", asked.steps) };
        let addresses: Vec<String> = principal.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, expected, "{sources}");
        assert_eq!(principal.send_as, alice().send_as);
    }
    for wrong in ["[]", "[\"directory\", \"directory\"]", "[\"upn\"]"] {
        let text = format!("certificate = {{ trust = \"demo\", addresses_from = {wrong} }}");
        assert!(toml::from_str::<crate::settings::Settings>(&text).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn an_unknown_status_asks_the_directory_unless_it_is_refused_anyway() {
    for (on_unknown, asked) in [("reject", false), ("temporary", true), ("allow", true)] {
        let folder = tempfile::tempdir().unwrap();
        let bed = Bed::new(folder.path(), &format!("on_unknown_status = {on_unknown:?}"));
        let bed = Bed { crls: CrlStore::empty(), ..bed };
        let profile = bed.profile(true);
        let (facts, _) = bed.ask(&profile, "alice").await;
        assert!(matches!(facts.revocation, Revocation::Unknown(_)), "{facts:?}");
        assert_eq!(facts.query != QueryFact::NotAsked, asked, "{on_unknown}: {facts:?}");
        // Who judges a session of the log again is told the same.
        assert_eq!(profile.asks_for_owner(&facts), asked, "{on_unknown}");
        assert!(!bed.profile(false).asks_for_owner(&facts), "{on_unknown}, without a directory");
    }
}

#[tokio::test]
async fn what_is_no_certificate_has_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let profile = Bed::new(folder.path(), "").profile(true);
    let facts = profile.certificate(&[b"not a certificate"], Time::now()).await.presented;
    assert!(matches!(facts.path, Err(pki::PathError::Malformed(_))), "{facts:?}");
    assert_eq!(facts.subject, "(unreadable)");
    assert_eq!(facts.query, QueryFact::NotAsked);
}

#[tokio::test]
async fn credentials_become_attempts() {
    let folder = tempfile::tempdir().unwrap();
    let bed = Bed::new(folder.path(), "");
    let profile = bed.profile(true);
    let external = Credentials::External { authorization_identity: "bob".to_owned() };
    assert_eq!(
        profile.attempt(external, Time::now()).await,
        (Attempt::External { authorization_identity: "bob".to_owned() }, LastWord::None)
    );
    // The allowance filter of this bed refuses who types no more than the user id.
    for (user, word, expected, allowance) in [
        ("alice", ALICE_PASSWORD, PasswordFact::Right(alice()), AllowanceFact::NotAllowed),
        ("alice@example.mil", ALICE_PASSWORD, PasswordFact::Right(alice()), AllowanceFact::Allowed),
        ("alice@example.mil", "x", PasswordFact::Wrong(WrongPassword::Mismatch), AllowanceFact::NotAsked),
        ("alice", "x", PasswordFact::Wrong(WrongPassword::Mismatch), AllowanceFact::NotAsked),
        ("zoe", "x", PasswordFact::Wrong(WrongPassword::UnknownUser), AllowanceFact::NotAsked),
    ] {
        let before = bed.directory.verifications();
        let user = user.to_owned();
        let sent =
            Credentials::Password { mechanism: Mechanism::Plain, user: user.clone(), password: Password::new(word) };
        let attempt = Attempt::Password { mechanism: Mechanism::Plain, user, password: expected, allowance };
        assert_eq!(profile.attempt(sent, Time::now()).await, (attempt.clone(), LastWord::None));
        assert_eq!(bed.directory.verifications() - before, 1, "{attempt:?}");
    }
}

#[tokio::test]
async fn an_empty_password_reaches_no_directory() {
    let folder = tempfile::tempdir().unwrap();
    let bed = Bed::new(folder.path(), "");
    for user in ["alice", "zoe"] {
        let attempt = bed.profile(true).password(Mechanism::Login, user, &Password::new(""), Time::now()).await;
        let Attempt::Password { password, allowance, .. } = attempt else { panic!("{attempt:?}") };
        assert_eq!(password, PasswordFact::Wrong(WrongPassword::Empty));
        assert_eq!(allowance, AllowanceFact::NotAsked);
    }
    assert_eq!(bed.directory.verifications(), 0);
}

#[tokio::test]
async fn a_password_of_a_while_ago_is_not_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let bed = Bed::new(folder.path(), "");
    let profile = bed.profile(true);
    let write = async |people: &str| {
        std::fs::write(folder.path().join("new"), people).unwrap();
        std::fs::rename(folder.path().join("new"), folder.path().join("people.toml")).unwrap();
        bed.directory.reload_if_changed().await.unwrap();
    };
    let people = std::fs::read_to_string(folder.path().join("people.toml")).unwrap();
    let password = Password::new(ALICE_PASSWORD);
    let attempt = profile.password(Mechanism::Plain, "alice@example.mil", &password, Time::now()).await;
    assert_eq!(profile.standing(&attempt, Time::now()).await, attempt);
    assert_eq!(bed.directory.verifications(), 1);

    let now = async || match profile.standing(&attempt, Time::now()).await {
        Attempt::Password { password, .. } => password,
        other => panic!("{other:?}"),
    };
    write(&format!("{people}disabled = true\n")).await;
    assert_eq!(now().await, PasswordFact::AccountDisabled);
    write("").await;
    assert_eq!(now().await, PasswordFact::Wrong(WrongPassword::UnknownUser));
    // What was wrong, or no password, stays what it was.
    let external = Attempt::External { authorization_identity: String::new() };
    let wrong = profile.password(Mechanism::Plain, "alice", &Password::new("x"), Time::now()).await;
    for attempt in [Attempt::None, external, wrong] {
        assert_eq!(profile.standing(&attempt, Time::now()).await, attempt);
    }
}

#[tokio::test]
async fn nobody_inherits_a_session() {
    let folder = tempfile::tempdir().unwrap();
    let bed = Bed::new(folder.path(), "");
    let profile = bed.profile(true);
    // A filter by mail address, say: the name leads to alice now, and led to somebody else when the session began.
    let before = Principal { user_id: "mallory".to_owned(), addresses: Vec::new(), send_as: Vec::new() };
    let attempt = Attempt::Password {
        mechanism: Mechanism::Plain,
        user: "alice".to_owned(),
        password: PasswordFact::Right(before),
        allowance: AllowanceFact::Allowed,
    };
    let Attempt::Password { password, allowance, .. } = profile.standing(&attempt, Time::now()).await else { panic!() };
    assert_eq!(password, PasswordFact::Wrong(WrongPassword::Mismatch));
    assert_eq!(allowance, AllowanceFact::NotAsked);
}

#[tokio::test]
async fn new_people_are_a_new_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let bed = Bed::new(folder.path(), "");
    let profile = bed.profile(true);
    let before = profile.epoch();
    assert_eq!(profile.epoch(), before);
    std::fs::write(folder.path().join("people.toml"), "").unwrap();
    bed.directory.reload_if_changed().await.unwrap();
    assert_ne!(profile.epoch(), before);
    let (facts, _) = bed.ask(&profile, "alice").await;
    assert!(!matches!(facts.query, QueryFact::One(_)), "{facts:?}");
}
