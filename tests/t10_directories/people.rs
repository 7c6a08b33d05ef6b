//! The people of the decision table: their cards, and their entries as each family keeps them.

use std::process::Command;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use demo::ca::crl_pem;
use demo::{Ca, Name, Template};

use super::how_tos::Kind;
use crate::harness::World;
use crate::harness::peers::run;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Who has an entry.
struct Person {
    user_id: &'static str,
    /// The file of their card.
    card: Option<&'static str>,
    trait_: Trait,
}

#[derive(Clone, Copy, PartialEq)]
enum Trait {
    None,
    Exempt,
    EmergencyUntil(&'static str),
    Closed,
    /// For Active Directory alone.
    AccountExpired,
}

const PEOPLE: [Person; 13] = [
    person("anna", Some("anna"), Trait::None),
    person("boris", Some("boris"), Trait::None),
    person("chris", None, Trait::None),
    person("diana", Some("diana"), Trait::Exempt),
    person("emil", Some("emil"), Trait::EmergencyUntil("20991231235959.0Z")),
    person("fiona", Some("fiona"), Trait::EmergencyUntil("20200101000000.0Z")),
    person("gustav", Some("gustav"), Trait::Closed),
    person("hanna", Some("hanna"), Trait::None),
    person("hans", Some("hanna"), Trait::None),
    person("igor", Some("igor"), Trait::AccountExpired),
    person("julia", Some("julia"), Trait::None),
    person("karl", Some("karl"), Trait::None),
    // Only her wrong passwords are tried, by many at once.
    person("lena", None, Trait::None),
];

const fn person(user_id: &'static str, card: Option<&'static str>, trait_: Trait) -> Person {
    Person { user_id, card, trait_ }
}

/// Three kinds of characters, as Active Directory wants them.
pub(super) fn password(user_id: &str) -> String {
    format!("Secret-of-{user_id}-1")
}

fn common_name(card: &str) -> String {
    match card {
        "boris" => "O'NEIL, BÖRIS (ACME) *\\#+;<x>=\"1234567891".to_owned(),
        // Anna's names.
        "anna" | "namesake" | "stranger" => "DOE.ANNA.A.1234567890".to_owned(),
        _ => format!("{}.1234567892", card.to_uppercase()),
    }
}

/// Its number has eight octets.
fn serial(card: &str) -> u64 {
    let octets = card.bytes().fold(0x4a5b_u64, |sum, octet| sum.wrapping_mul(31).wrapping_add(octet.into()));
    match card {
        "stranger" => serial("anna"),
        _ => octets & 0x00ff_ffff_ffff_ffff | 0x4100_0000_0000_0000,
    }
}

fn template(card: &str) -> Template {
    let template = Template::cac(&common_name(card), &format!("{card}@example.mil"));
    Template { serial: Some(serial(card).to_be_bytes().to_vec()), ..template }
}

/// A world with the cards of everybody, and those that are nobody's.
pub(super) async fn world() -> World {
    let world = World::new().await;
    let now = SystemTime::now();
    for card in ["anna", "diana", "emil", "fiona", "gustav", "hanna", "igor", "namesake", "nobody"] {
        world.issue(card, &template(card));
    }
    world.issue("julia", &template("julia").valid(now - 20 * DAY, now - DAY));
    let karl = world.issue("karl", &template("karl"));
    world.revoke(&[&karl]);
    // A CA of awkward names, below the same root; lists are read from one file.
    let name = Name::default().country("DE").organization("Küsten, Inc. \"Ost\" + Süd").common_name("ID CA #2 <\\=;>");
    let east = world.root.subordinate_as(&Template::authority(name, Some(0))).unwrap();
    world.keep("boris", &east.issue(&template("boris")).unwrap());
    world.write("pki/issuing.pem", world.issuing.certificate_pem() + &east.certificate_pem());
    let lists = std::fs::read_to_string(world.path("pki/crl.pem")).unwrap();
    world.write("pki/crl.pem", lists + &crl_pem(&east.crl(&[], now, now + DAY).unwrap()));
    // The stranger's CA has the very name of ours.
    let elsewhere = Ca::new("Test Root CA").unwrap().subordinate("Test ID CA-1").unwrap();
    world.keep("stranger", &elsewhere.issue(&template("stranger")).unwrap());
    world
}

/// Everybody's entry, as LDIF below `base`.
pub(super) fn ldif(kind: Kind, base: &str, world: &World) -> String {
    let mut entries: Vec<String> = PEOPLE
        .iter()
        .enumerate()
        .map(|(number, person)| match kind {
            Kind::ActiveDirectory => active_directory(person, base, world),
            _ => posix(person, number, kind, base, world),
        })
        .collect();
    if kind == Kind::ActiveDirectory {
        let exempt = PEOPLE.iter().filter(|person| person.trait_ == Trait::Exempt);
        let member = exempt.map(|person| ("member", format!("CN={},OU=People,{base}", person.user_id)));
        let group = [("objectClass", "group".to_owned()), ("sAMAccountName", "card-exempt".to_owned())];
        entries.push(entry(&format!("CN=card-exempt,OU=Groups,{base}"), group.into_iter().chain(member)));
    }
    entries.concat()
}

/// An account as OpenLDAP and 389 have them, with the attributes of the manual's schema.
fn posix(person: &Person, number: usize, kind: Kind, base: &str, world: &World) -> String {
    let Person { user_id, card, trait_ } = person;
    let mut lines = vec![
        ("objectClass", "inetOrgPerson".to_owned()),
        ("objectClass", "posixAccount".to_owned()),
        ("objectClass", "cacPerson".to_owned()),
        ("uid", (*user_id).to_owned()),
        ("cn", (*user_id).to_owned()),
        ("sn", (*user_id).to_owned()),
        ("uidNumber", (2000 + number).to_string()),
        ("gidNumber", "2000".to_owned()),
        ("homeDirectory", format!("/home/{user_id}")),
        ("mail", format!("{user_id}@example.mil")),
        ("mail", format!("{user_id}.too@example.mil")),
        ("userPassword", password(user_id)),
    ];
    if let Some(card) = card {
        lines.push(("caccn", common_name(card)));
        // {sn}: decimal.
        lines.push(("cacserial", serial(card).to_string()));
    }
    let certificate = card.map(|card| ("userCertificate;binary", der(card, world)));
    match (trait_, kind) {
        (Trait::Exempt, _) => lines.push(("cacexempt", "broken reader, ticket 42".to_owned())),
        (Trait::EmergencyUntil(time), _) => lines.push(("cacemergency", (*time).to_owned())),
        (Trait::Closed, Kind::Ds389) => lines.push(("nsAccountLock", "true".to_owned())),
        (Trait::Closed, _) => lines.push(("pwdAccountLockedTime", "000001010000Z".to_owned())),
        (Trait::None | Trait::AccountExpired, _) => {}
    }
    let lines = lines.into_iter().map(|(name, value)| (name, value.into_bytes()));
    entry(&format!("uid={user_id},ou=people,{base}"), lines.chain(certificate))
}

fn active_directory(person: &Person, base: &str, world: &World) -> String {
    let Person { user_id, card, trait_ } = person;
    let mut lines = vec![
        ("objectClass", "user".to_owned()),
        ("sAMAccountName", (*user_id).to_owned()),
        ("userPrincipalName", format!("{user_id}@ad.example.test")),
        ("mail", format!("{user_id}@example.mil")),
        ("proxyAddresses", format!("SMTP:{user_id}@example.mil")),
        ("proxyAddresses", format!("smtp:{user_id}.too@example.mil")),
        ("userAccountControl", if *trait_ == Trait::Closed { "514" } else { "512" }.to_owned()),
    ];
    if let Some(card) = card {
        lines.push(("altSecurityIdentities", issuer_serial(card, world)));
    }
    let password: Vec<u8> = format!("\"{}\"", password(user_id)).encode_utf16().flat_map(u16::to_le_bytes).collect();
    let certificate = card.map(|card| ("userCertificate", der(card, world)));
    match trait_ {
        Trait::EmergencyUntil(time) => lines.push(("msDS-cloudExtensionAttribute1", (*time).to_owned())),
        // In 2022.
        Trait::AccountExpired => lines.push(("accountExpires", "133000000000000000".to_owned())),
        // By a group.
        Trait::Exempt | Trait::None | Trait::Closed => {}
    }
    let lines = lines.into_iter().map(|(name, value)| (name, value.into_bytes()));
    let lines = lines.chain(certificate).chain([("unicodePwd", password)]);
    entry(&format!("CN={user_id},OU=People,{base}"), lines)
}

fn der(card: &str, world: &World) -> Vec<u8> {
    world.identity(card).chain[0].to_vec()
}

/// What an administrator enters, made of what openssl shows.
fn issuer_serial(card: &str, world: &World) -> String {
    let mut openssl = Command::new("openssl");
    openssl.args(["x509", "-noout", "-issuer", "-nameopt", "sname,sep_comma_plus,utf8"]);
    let said = run(openssl.arg("-in").arg(world.path(&format!("pki/{card}.pem"))));
    assert!(said.success, "{}", said.text);
    let issuer = said.text.trim_end().strip_prefix("issuer=").unwrap();
    let backwards: String = serial(card).to_le_bytes().iter().map(|octet| format!("{octet:02x}")).collect();
    format!("X509:<I>{issuer}<SR>{backwards}")
}

/// Base64 throughout (RFC 2849): values may begin and end as they like.
fn entry<'a>(dn: &str, lines: impl IntoIterator<Item = (&'a str, impl AsRef<[u8]>)>) -> String {
    let lines = lines.into_iter().map(|(name, value)| format!("{name}:: {}\n", STANDARD.encode(value)));
    format!("dn:: {}\n{}\n", STANDARD.encode(dn), lines.collect::<String>())
}
