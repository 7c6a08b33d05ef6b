//! Which settings an answer rests on, as checksums: the log keeps them beside the answers, so that it can be seen whether
//! they would be given again.

use session::Basis;
use toml::{Table, Value};

/// What a trust says of an answer, but not which.
const TRUST_RULES: [&str; 1] = ["on_unknown_status"];
/// How a directory is asked, but not what.
const DIRECTORY_TUNING: [&str; 6] =
    ["cache", "timeout", "connections", "bind_connections", "order", "unknown_attributes"];
const CERTIFICATE_QUERY: &str = "certificate_query";
const SMTP_AUTH_QUERY: &str = "smtp_auth_query";
const RECIPIENT_QUERY: &str = "recipient_query";

/// The basis of a listener's sessions. What the text does not have is nobody who could be asked.
pub(super) fn of(settings: &Table, listener: &str) -> Basis {
    let listeners = settings.get("listener").and_then(Value::as_array);
    let named = |found: &&Value| text(found, "name") == Some(listener);
    let Some(listener) = listeners.and_then(|all| all.iter().find(named)) else { return Basis::default() };
    let table = |kind: &str, name: Option<&str>| settings.get(kind)?.get(name?)?.as_table();
    let profile = table("authentication", text(listener, "authentication"));
    let part = |key: &str| profile.and_then(|profile| profile.get(key));
    let of_part = |part: Option<&Value>, key: &str| part.and_then(|part| text(part, key)).map(str::to_owned);
    let directory = |name: Option<String>, others: &[&str]| {
        let left_out = [&DIRECTORY_TUNING, others].concat();
        table("directory", name.as_deref()).map(|directory| without(directory, &left_out))
    };
    let named = |kind: &str| table(kind, of_part(part("password"), kind).as_deref()).cloned();
    let trust = table("trust", of_part(part("certificate"), "trust").as_deref());
    let lists = ["crl", "ocsp"].iter().filter_map(|key| settings.get(*key)?.as_table().cloned());
    let trust = trust.map(|trust| without(trust, &TRUST_RULES));
    let lists = lists.filter(|_| trust.is_some()).map(Some);
    let trust: Vec<Option<Table>> = std::iter::once(trust.clone()).chain(lists).collect();
    let passwords = directory(of_part(part("password"), "directory"), &[CERTIFICATE_QUERY, RECIPIENT_QUERY]);
    let recipients = table("recipients", text(listener, "recipients"));
    let of_recipients = recipients.and_then(|table| table.get("directory")?.as_str()).map(str::to_owned);
    Basis {
        trust: checksum(&trust),
        owners: checksum(&[directory(of_part(part("certificate"), "directory"), &[SMTP_AUTH_QUERY, RECIPIENT_QUERY])]),
        passwords: checksum(&[passwords, named("forward"), named("oauth")]),
        recipients: checksum(&[directory(of_recipients, &[CERTIFICATE_QUERY, SMTP_AUTH_QUERY])]),
    }
}

fn text<'t>(value: &'t Value, key: &str) -> Option<&'t str> {
    value.get(key)?.as_str()
}

fn without(table: &Table, keys: &[&str]) -> Table {
    table
        .iter()
        .filter(|(key, _)| !keys.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Of the values, however they are laid out in the file; nothing for nothing.
fn checksum(tables: &[Option<Table>]) -> String {
    if tables.iter().all(Option::is_none) {
        return String::new();
    }
    let mut checksum = crc32fast::Hasher::new();
    for table in tables {
        // Tables are sorted by key.
        checksum.update(table.as_ref().map(ToString::to_string).unwrap_or_default().as_bytes());
        checksum.update(&[0]);
    }
    format!("{:08x}", checksum.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: &str = "\
        [trust.t]\nanchors = [\"a.pem\"]\non_unknown_status = \"reject\"\n\
        [crl]\ncheck_inbound = true\n\
        [directory.d]\nkind = \"ldap\"\ntimeout = \"5s\"\n\
        certificate_query = { filter = \"(cn={cn})\" }\nsmtp_auth_query = { filter = \"(uid={u})\" }\n\
        [forward.f]\nservers = [\"a\"]\n\
        [oauth.o]\nissuer = \"i\"\n\
        [authentication.p]\ncertificate = { trust = \"t\", directory = \"d\" }\npassword = { directory = \"d\" }\n\
        [recipients.r]\naccept = [\"example.mil\"]\ndirectory = \"d\"\n\
        [[listener]]\nname = \"l\"\nauthentication = \"p\"\nrecipients = \"r\"\n\
        [[listener]]\nname = \"open\"\n";

    fn basis(settings: &str) -> Basis {
        of(&settings.parse().unwrap(), "l")
    }

    #[test]
    fn only_what_an_answer_rests_on_changes_its_checksum() {
        let before = basis(SETTINGS);
        assert!(
            [&before.trust, &before.owners, &before.passwords, &before.recipients].iter().all(|one| one.len() == 8)
        );
        assert_eq!(of(&SETTINGS.parse().unwrap(), "open"), Basis::default());
        assert_eq!(of(&SETTINGS.parse().unwrap(), "nobody"), Basis::default());
        let changed = |from: &str, to: &str| {
            assert!(SETTINGS.contains(from), "{from}");
            let after = basis(&SETTINGS.replace(from, to));
            [
                after.trust != before.trust,
                after.owners != before.owners,
                after.passwords != before.passwords,
                after.recipients != before.recipients,
            ]
        };
        for (from, to, expected) in [
            ("[crl]\n", "# a remark\n\n[crl]\n", [false; 4]),
            ("\"reject\"", "\"allow\"", [false; 4]),
            ("\"5s\"", "\"9s\"", [false; 4]),
            ("a.pem", "b.pem", [true, false, false, false]),
            ("check_inbound = true", "check_inbound = false", [true, false, false, false]),
            ("(cn={cn})", "(mail={email})", [false, true, false, false]),
            ("(uid={u})", "(mail={u})", [false, false, true, false]),
            ("\"ldap\"", "\"active-directory\"", [false, true, true, true]),
            ("password = { directory = \"d\" }", "password = { forward = \"f\" }", [false, false, true, false]),
            (
                "password = { directory = \"d\" }",
                "password = { directory = \"d\", oauth = \"o\" }",
                [false, false, true, false],
            ),
            ("\ndirectory = \"d\"\n", "\n", [false, false, false, true]),
        ] {
            assert_eq!(changed(from, to), expected, "{from} becomes {to}");
        }
    }
}
