use std::path::Path;

use super::*;
use crate::answers::{Allowance, Person, WrongPassword};
use crate::password::tests::cheap_hash;
use crate::scram::ScramVerifier;
use crate::tokens::Token;

/// The three-way allowance of the how-to "with SMTP AUTH and an allowance".
const ALLOWANCE: &str = "(&(uid={u})(|(!(caccn=*))(cacexempt=*)(cacemergency>={t})))";

fn settings(path: &Path, more: &str) -> Settings {
    toml::from_str(&format!("kind = \"file\"\npath = {:?}\n{more}", path.to_str().unwrap())).unwrap()
}

struct Bed {
    folder: tempfile::TempDir,
    directory: Directory,
}

fn bed(people: &str, more: &str) -> Bed {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("people.toml");
    std::fs::write(&path, people).unwrap();
    let directory = Directory::open("test", &settings(&path, more)).unwrap();
    Bed { folder, directory }
}

impl Bed {
    fn write(&self, people: &str) {
        let new = self.folder.path().join("new");
        std::fs::write(&new, people).unwrap();
        std::fs::rename(new, self.folder.path().join("people.toml")).unwrap();
    }

    async fn password(&self, user: &str, password: &str) -> PasswordMatch {
        let now = "2026-11-24T08:00:00Z".parse().unwrap();
        self.directory.password_query(user, &Password::new(password), now).await
    }
}

fn people() -> String {
    let person = |user: &str, more: &str| {
        let hash = cheap_hash(&format!("{user}-pw"));
        format!("[[person]]\nuser_id = {user:?}\naddresses = [\"{user}@example.mil\"]\npassword = {hash:?}\n{more}\n")
    };
    [
        person("alice", "certificate = { edipi = \"1234567890\" }\nattributes = { caccn = \"DOE.JANE.A.1234567890\" }"),
        person("bob", ""),
        person("dave", "attributes = { caccn = \"D\", cacexempt = \"yes\" }"),
        person("erin", "attributes = { caccn = \"E\", cacemergency = \"20261124080000Z\" }"),
        person("frank", "attributes = { caccn = \"F\", cacemergency = \"20261124075959Z\" }"),
        // 09:59:59 at +02:00 is a second too early; as text it is later than 08:00.
        person("grace", "attributes = { caccn = \"G\", cacemergency = \"20261124095959+0200\" }"),
        person("closed", "disabled = true\ncertificate = { edipi = \"9999999999\" }"),
        "[[person]]\nuser_id = \"card-only\"\n".to_owned(),
    ]
    .concat()
}

#[tokio::test]
async fn recipients_are_known_by_their_addresses_or_by_a_filter() {
    use RecipientMatch::{Known, Unknown};
    let by_address = bed(&people(), "");
    let by_filter = bed(&people(), "recipient_query.filter = \"(|(mail={a})(&(uid={u})(caccn=*)))\"");
    assert!(by_address.directory.answers_recipients());
    for (local_part, domain, address, filter) in [
        ("alice", "example.mil", Known, Known),
        ("ALICE", "Example.mil", Known, Known),
        ("alice", "elsewhere.mil", Unknown, Known),
        ("bob", "elsewhere.mil", Unknown, Unknown),
        ("card-only", "example.mil", Unknown, Unknown),
        ("*", "example.mil", Unknown, Unknown),
        ("*)(uid=*", "example.mil", Unknown, Unknown),
        ("", "example.mil", Unknown, Unknown),
        ("alice\0", "example.mil", Unknown, Unknown),
    ] {
        assert_eq!(by_address.directory.recipient_query(local_part, domain).await, address, "{local_part:?} {domain}");
        assert_eq!(by_filter.directory.recipient_query(local_part, domain).await, filter, "{local_part:?} {domain}");
    }
}

fn wrong(why: WrongPassword) -> PasswordMatch {
    PasswordMatch::Wrong(why)
}

fn right(user: &str, allowance: Allowance) -> PasswordMatch {
    let person =
        Person { user_id: user.to_owned(), addresses: vec![format!("{user}@example.mil")], send_as: Vec::new() };
    PasswordMatch::Right { person, allowance }
}

#[tokio::test]
async fn every_password_costs_one_verification_but_the_empty_one() {
    let bed = bed(&people(), "smtp_auth_query.filter = \"(|(uid={u})(caccn={u}*))\"");
    for (user, password, expected, cost) in [
        ("alice", "alice-pw", right("alice", Allowance::NotConfigured), 1),
        ("ALICE", "alice-pw", right("alice", Allowance::NotConfigured), 1),
        ("alice@anywhere", "alice-pw", right("alice", Allowance::NotConfigured), 1),
        ("alice", "bob-pw", wrong(WrongPassword::Mismatch), 1),
        ("alice", "Alice-pw", wrong(WrongPassword::Mismatch), 1),
        ("alice", "", wrong(WrongPassword::Empty), 0),
        ("zoe", "", wrong(WrongPassword::Empty), 0),
        ("zoe", "zoe-pw", wrong(WrongPassword::UnknownUser), 1),
        ("*", "alice-pw", wrong(WrongPassword::UnknownUser), 1),
        ("alice)(uid=*", "alice-pw", wrong(WrongPassword::UnknownUser), 1),
        ("", "alice-pw", wrong(WrongPassword::UnknownUser), 1),
        (" ", "alice-pw", wrong(WrongPassword::UnknownUser), 1),
        ("@example.mil", "alice-pw", wrong(WrongPassword::UnknownUser), 1),
        // alice by caccn DOE…, dave by caccn D and by uid.
        ("d", "alice-pw", wrong(WrongPassword::SeveralUsers), 1),
        ("card-only", "x", wrong(WrongPassword::NoPassword), 1),
        ("closed", "closed-pw", PasswordMatch::Disabled, 1),
        ("closed", "x", PasswordMatch::Disabled, 1),
    ] {
        let before = bed.directory.verifications();
        assert_eq!(bed.password(user, password).await, expected, "{user:?} {password:?}");
        assert_eq!(bed.directory.verifications() - before, cost, "{user:?} {password:?}");
    }
}

#[tokio::test]
async fn the_allowance_is_told_to_the_right_password_only() {
    let bed = bed(&people(), &format!("smtp_auth_query.allowance = {ALLOWANCE:?}"));
    for (user, allowed) in
        [("alice", false), ("bob", true), ("dave", true), ("erin", true), ("frank", false), ("grace", false)]
    {
        let allowance = if allowed { Allowance::Allowed } else { Allowance::NotAllowed };
        let before = bed.directory.verifications();
        assert_eq!(bed.password(user, &format!("{user}-pw")).await, right(user, allowance), "{user}");
        // A disallowed user takes the same verification, and a wrong password of theirs is a wrong password.
        assert_eq!(bed.password(user, "wrong").await, wrong(WrongPassword::Mismatch), "{user}");
        assert_eq!(bed.directory.verifications() - before, 2, "{user}");
    }
}

#[tokio::test]
async fn an_allowance_without_its_token_allows_nobody() {
    let bed = bed(&people(), "smtp_auth_query.allowance = \"(!(mail=*@{d}))\"");
    assert_eq!(bed.password("bob", "bob-pw").await, right("bob", Allowance::NotAllowed));
    assert_eq!(bed.password("bob@example.mil", "bob-pw").await, right("bob", Allowance::NotAllowed));
    assert_eq!(bed.password("bob@example.org", "bob-pw").await, right("bob", Allowance::Allowed));
}

#[tokio::test]
async fn a_login_of_an_hour_ago_is_asked_about_without_its_password() {
    let bed = bed(&people(), &format!("smtp_auth_query.allowance = {ALLOWANCE:?}"));
    let ask = async |user: &str, now: &str| bed.directory.presume(user, now.parse().unwrap()).await;
    assert_eq!(ask("erin", "2026-11-24T08:00:00Z").await, right("erin", Allowance::Allowed));
    assert_eq!(ask("erin", "2026-11-24T08:00:01Z").await, right("erin", Allowance::NotAllowed));
    assert_eq!(ask("closed", "2026-11-24T08:00:00Z").await, PasswordMatch::Disabled);
    assert_eq!(ask("card-only", "2026-11-24T08:00:00Z").await, wrong(WrongPassword::NoPassword));
    assert_eq!(ask("zoe", "2026-11-24T08:00:00Z").await, wrong(WrongPassword::UnknownUser));
    assert_eq!(bed.directory.verifications(), 0);
}

fn verifier(password: &str) -> ScramVerifier {
    ScramVerifier::make(&Password::new(password), 4096.try_into().unwrap()).unwrap()
}

#[tokio::test]
async fn scram_asks_before_the_proof_and_tells_nobody_who_exists() {
    let of_hugo = verifier("hugo-pw");
    let more = format!(
        "[[person]]\nuser_id = \"hugo\"\naddresses = [\"hugo@example.mil\"]\npassword = \"{of_hugo}\"\n\
         [[person]]\nuser_id = \"ida\"\npassword = [\"{}\", {:?}]\ndisabled = true\n",
        verifier("ida-pw"),
        cheap_hash("ida-pw"),
    );
    let bed = bed(&(people() + &more), &format!("smtp_auth_query.allowance = {ALLOWANCE:?}"));
    let now = "2026-11-24T08:00:00Z".parse().unwrap();
    let ask = async |user: &str| bed.directory.scram_query(user, now).await.unwrap();
    let hugo = ask("hugo").await;
    assert_eq!((hugo.verifier, hugo.proved), (of_hugo.clone(), right("hugo", Allowance::Allowed)));
    assert_eq!(ask("HUGO@example.mil").await.verifier, of_hugo);
    for (user, proved) in [
        ("ida", PasswordMatch::Disabled),
        ("closed", PasswordMatch::Disabled),
        ("alice", wrong(WrongPassword::NoVerifier)),
        ("card-only", wrong(WrongPassword::NoVerifier)),
        ("zoe", wrong(WrongPassword::UnknownUser)),
        ("", wrong(WrongPassword::UnknownUser)),
    ] {
        let (one, two) = (ask(user).await, ask(user).await);
        assert_eq!(one.proved, proved, "{user}");
        assert_eq!(one.verifier, two.verifier, "{user}");
        assert_eq!(one.verifier.iterations(), of_hugo.iterations(), "{user}");
        assert_eq!(one.verifier.salt().len(), of_hugo.salt().len(), "{user}");
    }
    assert_eq!(ask("zoe").await.verifier, ask("Zoe@example.mil").await.verifier);
    // The same verifier serves PLAIN and LOGIN.
    assert_eq!(bed.password("hugo", "hugo-pw").await, right("hugo", Allowance::Allowed));
    assert_eq!(bed.password("hugo", "x").await, wrong(WrongPassword::Mismatch));
    assert_eq!(bed.directory.presume("hugo", now).await, right("hugo", Allowance::Allowed));
    // Seven with a hash alone; "closed" is one of them.
    assert_eq!(bed.directory.without_scram(), Some((7, 9)));
    let (proved, steps) = bed.directory.explain_scram_query("hugo", now).await;
    assert_eq!((proved, steps.len()), (right("hugo", Allowance::Allowed), 2));
}

#[tokio::test]
async fn whom_a_token_names_needs_no_password() {
    let bed = bed(&people(), &format!("smtp_auth_query.allowance = {ALLOWANCE:?}"));
    let now = "2026-11-24T08:00:00Z".parse().unwrap();
    let ask = async |user: &str| bed.directory.token_query(user, now).await;
    assert_eq!(ask("bob@example.mil").await, right("bob", Allowance::Allowed));
    assert_eq!(ask("alice").await, right("alice", Allowance::NotAllowed));
    assert_eq!(ask("closed").await, PasswordMatch::Disabled);
    assert_eq!(ask("zoe").await, wrong(WrongPassword::UnknownUser));
    assert!(matches!(ask("card-only").await, PasswordMatch::Right { .. }));
    assert_eq!(bed.directory.verifications(), 0);
    assert_eq!(bed.directory.explain_token_query("bob", now).await.1.len(), 2);
}

#[tokio::test]
async fn certificates_by_table_and_by_filter() {
    let alice =
        || Person { user_id: "alice".to_owned(), addresses: vec!["alice@example.mil".to_owned()], send_as: Vec::new() };
    let mut tokens = Tokens::new();
    tokens.set(Token::Edipi, "1234567890");
    tokens.set(Token::CommonName, "Doe.Jane.A.1234567890");
    let bed_of_tables = bed(&people(), "");
    assert_eq!(bed_of_tables.directory.certificate_query(|_| tokens.clone()).await, CertificateMatch::One(alice()));
    let by_filter = bed(&people(), "certificate_query.filter = \"(caccn={cn})\"");
    assert_eq!(by_filter.directory.certificate_query(|_| tokens.clone()).await, CertificateMatch::One(alice()));
    assert!(by_filter.directory.notes().iter().any(|note| note.contains("idle")));

    let ask = async |bed: &Bed, tokens: &Tokens| match bed.directory.certificate_query(|_| tokens.clone()).await {
        CertificateMatch::Nobody { why } => why,
        other => format!("{other:?}"),
    };
    tokens.set(Token::Edipi, "9999999999");
    assert_eq!(ask(&bed_of_tables, &tokens).await, "\"closed\" is disabled");
    tokens.set(Token::Edipi, "5555555555");
    assert!(ask(&bed_of_tables, &tokens).await.contains("edipi = \"5555555555\""));
    tokens.set(Token::CommonName, "*");
    assert_eq!(ask(&by_filter, &tokens).await, "no entry matches (caccn=\\2a)");
    tokens.set_unusable(Token::CommonName, "two values");
    assert_eq!(ask(&by_filter, &tokens).await, "(caccn={cn}): {cn} can't be used: two values");
    let anybody = bed(&people(), "certificate_query.filter = \"(uid=*)\"");
    assert_eq!(anybody.directory.certificate_query(|_| tokens.clone()).await, CertificateMatch::Several);
}

#[tokio::test]
async fn a_changed_file_is_read_again_and_a_bad_one_is_not_taken() {
    let bed = bed("[[person]]\nuser_id = \"alice\"\n", "");
    let reload = async || bed.directory.reload_if_changed().await;
    assert_eq!(reload().await.unwrap(), Reload::Unchanged);
    assert_eq!((bed.directory.people(), bed.directory.generation()), (1, 1));

    bed.write("[[person]]\nuser_id = \"alice\"\n[[person]]\nuser_id = \"bob\"\n");
    assert_eq!(reload().await.unwrap(), Reload::Reloaded { people: 2, notes: Vec::new() });
    assert_eq!((bed.directory.people(), bed.directory.generation()), (2, 2));

    bed.write("[[person]]\nuser_id = \"alice\"\nx = 1\n");
    let error = reload().await.unwrap_err().to_string();
    assert!(error.contains("people.toml:3:1: person.x: unknown key"), "{error}");
    // Told once; the old people stay.
    assert_eq!(reload().await.unwrap(), Reload::Unchanged);
    assert_eq!((bed.directory.people(), bed.directory.generation()), (2, 2));

    std::fs::remove_file(bed.folder.path().join("people.toml")).unwrap();
    assert!(matches!(reload().await, Err(Error::Read { .. })));
    assert_eq!(reload().await.unwrap(), Reload::Unchanged);
    assert_eq!(bed.directory.people(), 2);

    bed.write("");
    assert_eq!(reload().await.unwrap(), Reload::Reloaded { people: 0, notes: Vec::new() });
    assert_eq!(bed.directory.generation(), 3);

    // In place, of the same length: the inode's change time tells.
    let path = bed.folder.path().join("people.toml");
    std::fs::write(&path, "[[person]]\nuser_id = \"alice\"\n").unwrap();
    assert!(matches!(reload().await.unwrap(), Reload::Reloaded { people: 1, .. }));
}

#[test]
fn settings_say_what_would_be_right() {
    let read = |text: &str| toml::from_str::<Settings>(text).unwrap_err().message().to_owned();
    assert_eq!(
        read("kind = \"sql\"\npath = \"x\""),
        "unknown kind \"sql\" of directory: \"ldap\", \"active-directory\" and \"file\" are known"
    );
    let unknown = read("kind = \"file\"\npath = \"x\"\nsmtp_auth_query = { fliter = \"\" }");
    assert!(unknown.starts_with("unknown field `fliter`, expected one of `filter`"), "{unknown}");
    let filter = read("kind = \"file\"\npath = \"x\"\ncertificate_query = { filter = \"(caccn={u})\" }");
    assert!(filter.starts_with("at character 8: {u} never has a value in a certificate query"), "{filter}");

    let open = |more: &str| Directory::open("corporate", &settings(Path::new("/nonexistent"), more)).unwrap_err();
    let error = open("certificate_query.filter = \"(userCertificate;binary={cert})\"");
    assert_eq!(
        error.to_string(),
        "directory.corporate.certificate_query.filter: {cert} (use {sha256}) needs a directory server, \
         and kind = \"file\" is none"
    );
    assert!(matches!(error, Error::Setting { span, .. } if span.start > 0));
    assert!(open("smtp_auth_query.allowance = \"(a:b:=c)\"").to_string().contains("smtp_auth_query.allowance"));
    assert!(matches!(open(""), Error::Read { .. }));
    let error = open("timeout = \"3s\"");
    assert_eq!(error.to_string(), "directory.corporate.timeout: has a meaning for kind = \"ldap\" only: leave it out");
    let nowhere = Directory::open("corporate", &toml::from_str("kind = \"file\"").unwrap()).unwrap_err();
    assert!(nowhere.to_string().starts_with("directory.corporate.path: missing: kind = \"file\" needs"), "{nowhere}");
    assert!(matches!(nowhere, Error::Setting { span, .. } if span == (7..13)));
}

/// What is left out is as the kind has it; what is written stands.
#[test]
fn active_directory_has_names_of_its_own() {
    let read = |text: &str| toml::from_str::<Settings>(text).unwrap().completed();
    let user_id = |settings: &Settings| settings.smtp_auth_query.user_id.get_ref().0.clone();
    let filter = |settings: &Settings| settings.smtp_auth_query.filter.get_ref().0.to_string();
    let query = "certificate_query = { filter = \"(altSecurityIdentities={altsecid:issuer-serial})\" }";
    let usual = read(&format!("kind = \"active-directory\"\n{query}"));
    assert_eq!(user_id(&usual), "sAMAccountName");
    assert_eq!(usual.certificate_query.as_ref().unwrap().user_id.get_ref().0, "sAMAccountName");
    assert!(filter(&usual).contains("(userPrincipalName={a})"));
    let written = read("kind = \"active-directory\"\nsmtp_auth_query = { user_id = \"uid\", filter = \"(mail={a})\" }");
    assert_eq!((user_id(&written).as_str(), filter(&written).as_str()), ("uid", "(mail={a})"));
    let ldap = read(&format!("kind = \"ldap\"\n{query}"));
    assert_eq!((user_id(&ldap).as_str(), filter(&ldap).as_str()), ("uid", "(uid={u})"));
}

#[test]
fn a_file_without_end_is_not_read_to_its_end() {
    let error = Directory::open("test", &settings(Path::new("/dev/zero"), "")).unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
}
