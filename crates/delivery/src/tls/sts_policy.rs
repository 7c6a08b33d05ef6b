//! MTA-STS policies, read: RFC 8461 sections 3.1 and 3.2.

use std::time::Duration;

/// Octets of a policy; the RFC wants at least 64 KiB to be read.
pub(crate) const MAX_POLICY: u64 = 64 * 1024;
/// More hosts than any domain has.
const MAX_PATTERNS: usize = 256;
/// "max_age … a maximum value of 31557600": section 3.2.
const MAX_AGE: u64 = 31_557_600;

/// A domain's policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) mode: PolicyMode,
    pub(crate) max_age: Duration,
    /// `mx` patterns in lower case.
    pub(crate) mx: Vec<String>,
}

/// What a host that does not fit comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PolicyMode {
    /// No delivery.
    Enforce,
    /// A report.
    Testing,
    /// Nothing.
    None,
}

impl Policy {
    /// Reads the file's octets.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub(crate) fn parse(octets: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(octets).map_err(|_| "it is no UTF-8 text".to_owned())?;
        let (mut version, mut mode, mut max_age, mut mx) = (None, None, None, Vec::new());
        // CRLF or LF; unknown fields are passed over, and of a field that is there twice the first counts.
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or_else(|| format!("no field: {}", shown(line)))?;
            let value = value.trim();
            match name.trim_end() {
                "version" => drop(version.get_or_insert(value)),
                "mode" if mode.is_none() => mode = Some(PolicyMode::parse(value)?),
                "max_age" if max_age.is_none() => max_age = Some(parse_age(value)?),
                "mx" if mx.len() < MAX_PATTERNS => mx.push(pattern(value)?),
                _ => {}
            }
        }
        if version != Some("STSv1") {
            return Err("its version is not STSv1".to_owned());
        }
        let mode = mode.ok_or("it has no mode")?;
        let max_age = max_age.ok_or("it has no max_age")?;
        if mx.is_empty() && mode != PolicyMode::None {
            return Err("it names no mx".to_owned());
        }
        Ok(Self { mode, max_age, mx })
    }

    /// Whether the policy lists the host: section 4.1.
    pub(crate) fn lists(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        self.mx.iter().any(|pattern| match pattern.strip_prefix("*.") {
            Some(rest) => host.split_once('.').is_some_and(|(label, tail)| !label.is_empty() && tail == rest),
            None => *pattern == host,
        })
    }

    /// The file again, as it is kept.
    pub(crate) fn to_text(&self) -> String {
        let mx: String = self.mx.iter().map(|pattern| format!("mx: {pattern}\n")).collect();
        format!("version: STSv1\nmode: {}\n{mx}max_age: {}\n", self.mode.as_str(), self.max_age.as_secs())
    }
}

impl PolicyMode {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "enforce" => Ok(Self::Enforce),
            "testing" => Ok(Self::Testing),
            "none" => Ok(Self::None),
            _ => Err(format!("its mode is {}", shown(text))),
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Testing => "testing",
            Self::None => "none",
        }
    }
}

fn parse_age(text: &str) -> Result<Duration, String> {
    let digits = (1..=10).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = digits.then(|| text.parse::<u64>().ok()).flatten();
    seconds
        .map(|seconds| Duration::from_secs(seconds.min(MAX_AGE)))
        .ok_or_else(|| format!("its max_age is {}", shown(text)))
}

/// A domain, or one after `*.`.
fn pattern(text: &str) -> Result<String, String> {
    let text = text.to_ascii_lowercase();
    let text = text.strip_suffix('.').unwrap_or(&text);
    let labels = text.strip_prefix("*.").unwrap_or(text);
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    match labels.len() <= 255 && labels.split('.').all(label) {
        true => Ok(text.to_owned()),
        false => Err(format!("its mx is {}", shown(text))),
    }
}

fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(60).collect::<String>())
}

/// The `id` of the TXT records at `_mta-sts.DOMAIN`; `None` where they are no policy's. Section 3.1: of several that
/// begin with the version none counts.
pub(crate) fn record_id(texts: &[String]) -> Option<String> {
    let is_policy =
        |text: &&String| text.strip_prefix("v=STSv1").is_some_and(|rest| rest.trim_start().starts_with(';'));
    let mut policies = texts.iter().filter(is_policy);
    let (one, None) = (policies.next()?, policies.next()) else { return None };
    let mut fields = one.split(';').filter_map(|field| field.trim().split_once('='));
    let id = fields.find(|(name, _)| name.trim() == "id")?.1.trim();
    let valid = (1..=32).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    valid.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn policies() {
        let good = "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.Example.net\r\nother: x\r\nmax_age: 604800\r\n";
        let policy = Policy::parse(good.as_bytes()).unwrap();
        assert_eq!((policy.mode, policy.max_age.as_secs()), (PolicyMode::Enforce, 604_800));
        assert_eq!(Policy::parse(policy.to_text().as_bytes()), Ok(policy.clone()));
        for (host, listed) in [
            ("mail.example.com", true),
            ("MAIL.example.com.", true),
            ("a.example.net", true),
            ("a.b.example.net", false),
            ("example.net", false),
            (".example.net", false),
            ("example.com", false),
        ] {
            assert_eq!(policy.lists(host), listed, "{host}");
        }
        let none = Policy::parse(b"version: STSv1\nmode: none\nmax_age: 99999999\n").unwrap();
        assert_eq!((none.mode, none.max_age.as_secs()), (PolicyMode::None, MAX_AGE));
        for (bad, why) in [
            ("", "version"),
            ("mode: enforce\nmx: a.b\nmax_age: 1", "version"),
            ("version: STSv2\nmode: enforce\nmx: a.b\nmax_age: 1", "version"),
            ("version: STSv1\nmode: strict\nmx: a.b\nmax_age: 1", "mode is \"strict\""),
            ("version: STSv1\nmx: a.b\nmax_age: 1", "no mode"),
            ("version: STSv1\nmode: enforce\nmax_age: 1", "names no mx"),
            ("version: STSv1\nmode: enforce\nmx: a.b\nmax_age: -1", "max_age is \"-1\""),
            ("version: STSv1\nmode: enforce\nmx: a.b", "no max_age"),
            ("version: STSv1\nmode: enforce\nmx: a.*.b\nmax_age: 1", "mx is"),
            ("version: STSv1\nmode: enforce\nmx: \nmax_age: 1", "mx is"),
            ("<html>", "no field"),
        ] {
            let found = Policy::parse(bad.as_bytes()).unwrap_err();
            assert!(found.contains(why), "{bad}: {found}");
        }
    }

    #[test]
    fn records() {
        let id = |texts: &[&str]| record_id(&texts.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(id(&["v=STSv1; id=20160831085700Z;"]).as_deref(), Some("20160831085700Z"));
        assert_eq!(id(&["v=spf1 -all", "v=STSv1;id=1"]).as_deref(), Some("1"));
        for none in [
            &["v=STSv1; id=1;", "v=STSv1; id=2;"][..],
            &["v=STSv1"],
            &["v=STSv1; id=;"],
            &["v=STSv1; id=a b"],
            &["v=STSv12; id=1"],
            &["id=1; v=STSv1"],
            &[],
        ] {
            assert_eq!(id(none), None, "{none:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(text in "(version|mode|mx|max_age|STSv1|enforce|:|\\*|\\.|[a-z0-9]|\r?\n| ){0,60}") {
            if let Ok(policy) = Policy::parse(text.as_bytes()) {
                prop_assert_eq!(Policy::parse(policy.to_text().as_bytes()), Ok(policy));
            }
        }
    }
}
