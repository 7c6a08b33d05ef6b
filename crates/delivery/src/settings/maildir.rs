//! `maildir` of a `[[route]]`: a folder for each recipient, by a template that no address leads out of.

use std::path::{Path, PathBuf};

use protocol::Mailbox;
use serde::Deserialize;

/// `maildir = { path = "/var/mail/{domain}/{local}" }`: mail stays on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaildirSettings {
    /// Where a recipient's Maildir is.
    pub path: Template,
    /// One that is not there is made; otherwise its mail waits.
    #[serde(default)]
    pub create: bool,
    /// From this on, a local part is a detail (RFC 5233), and no part of `{local}`: `"+"`.
    #[serde(default)]
    pub subaddress: Option<char>,
}

/// A path with `{local}`, `{domain}` and `{address}` in it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Template {
    parts: Vec<Part>,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    Local,
    Domain,
    Address,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(Value),
}

/// Octets of a file's name: `NAME_MAX` of the usual file systems.
const MAX_NAME: usize = 255;

impl Template {
    /// The path for a recipient. `None` where its address makes no name of a folder: everything in it was chosen by whoever
    /// wrote the address.
    #[must_use]
    pub fn expand(&self, mailbox: &Mailbox) -> Option<PathBuf> {
        let mut path = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => path.push_str(text),
                Part::Value(value) => {
                    let value = value.of(mailbox);
                    path.push_str(Some(value).filter(|value| is_name(value))?.as_str());
                }
            }
        }
        let path = PathBuf::from(path);
        path.iter().all(|name| name.len() <= MAX_NAME).then_some(path)
    }
}

impl std::fmt::Display for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// Part of a name, and of one only. A dot in front would hide it, or lead elsewhere.
fn is_name(value: &str) -> bool {
    !value.is_empty() && !value.starts_with('.') && !value.contains(|c: char| c == '/' || c == '\\' || c.is_control())
}

impl Value {
    /// Of one's own users `Bob` is `bob`.
    fn of(self, mailbox: &Mailbox) -> String {
        let local = mailbox.local_part().to_lowercase();
        let domain = mailbox.domain();
        let domain = domain.to_a_labels().unwrap_or_else(|| domain.as_str().to_lowercase());
        match self {
            Self::Local => local,
            Self::Domain => domain,
            Self::Address => format!("{local}@{domain}"),
        }
    }
}

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        const KNOWN: &str = "{local}, {domain} and {address}";
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            parts.push(Part::Text(before.to_owned()));
            let (name, after) = after.split_once('}').ok_or_else(|| format!("\"{text}\": a {{ without a }}"))?;
            parts.push(Part::Value(match name {
                "local" => Value::Local,
                "domain" => Value::Domain,
                "address" => Value::Address,
                _ => return Err(format!("\"{text}\": there is no {{{name}}}, but {KNOWN}")),
            }));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        if !Path::new(&text).is_absolute() {
            return Err(format!("\"{text}\" does not begin with /, as \"/var/mail/{{domain}}/{{local}}\" does"));
        }
        if text.contains(|c: char| c.is_control()) || Path::new(&text).iter().any(|name| name == "..") {
            return Err(format!(
                "{text:?} is no path that is safe to write below: leave out \"..\" and control characters"
            ));
        }
        Ok(Self { parts, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(template: &str, address: &str) -> Option<String> {
        let template = Template::try_from(template.to_owned()).unwrap();
        template.expand(&Mailbox::parse(address).unwrap()).map(|path| path.to_str().unwrap().to_owned())
    }

    #[test]
    fn addresses_and_their_folders() {
        for (template, address, expected) in [
            ("/m/{domain}/{local}", "Bob@Example.ORG", Some("/m/example.org/bob")),
            ("/m/{address}", "bob@example.org", Some("/m/bob@example.org")),
            ("/m/{local}/Maildir", "bob+lists@example.org", Some("/m/bob+lists/Maildir")),
            ("/m/{domain}/{local}", "jörg@dömäin.example", Some("/m/xn--dmin-moa0i.example/jörg")),
            ("/m/all", "bob@example.org", Some("/m/all")),
            ("/m/{domain}", "bob@[192.0.2.1]", Some("/m/[192.0.2.1]")),
            // Whatever an address may be made of, it is one name.
            ("/m/{local}", "../bob@example.org", None),
            ("/m/{local}", "\"..\"@example.org", None),
            ("/m/{local}", "\".\"@example.org", None),
            ("/m/{local}", "\"../../etc\"@example.org", None),
            ("/m/{local}", "a/b@example.org", None),
            ("/m/{address}", "a/b@example.org", None),
            ("/m/{local}", "\"a\\\\b\"@example.org", None),
            ("/m/{local}", "\".hidden\"@example.org", None),
            ("/m/{local}", "\"\"@example.org", None),
        ] {
            // What is no address at all leads nowhere either.
            if Mailbox::parse(address).is_ok() {
                assert_eq!(path(template, address).as_deref(), expected, "{template} {address}");
            } else {
                assert_eq!(expected, None, "{address}");
            }
        }
        let long = format!("/m/{}{{local}}", "x".repeat(250));
        assert_eq!(path(&long, "abcdef@example.org"), None);
        assert!(path(&long, "abc@example.org").is_some());
    }

    #[test]
    fn templates_say_what_is_wrong() {
        for (template, why) in [
            ("mail/{local}", "does not begin with /"),
            ("/mail/{user}", "there is no {user}"),
            ("/mail/{local", "a { without a }"),
            ("/mail/../{local}", "leave out"),
            ("/mail/\0", "leave out"),
        ] {
            let error = Template::try_from(template.to_owned()).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_address_leads_out(local in "\\PC{0,40}", domain in "[a-z./\\[\\]:]{0,20}") {
            for address in [format!("{local}@{domain}"), format!("\"{}\"@{domain}", local.escape_debug())] {
                let Ok(mailbox) = Mailbox::parse(&address) else { continue };
                let template = Template::try_from("/m/{domain}/{local}".to_owned()).unwrap();
                if let Some(path) = template.expand(&mailbox) {
                    let names: Vec<_> = path.components().collect();
                    proptest::prop_assert_eq!(names.len(), 4);
                    proptest::prop_assert!(path.starts_with("/m") && path.iter().all(|name| name != ".."));
                }
            }
        }
    }
}
