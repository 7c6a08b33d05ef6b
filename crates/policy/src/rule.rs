//! Rules that can be tried out before they hold: `monitor` names them.

use std::fmt;

use serde::Deserialize;

/// A rule that can be tried out. `access` is none: who is not welcome, or may not relay, never gets further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// `tls = "required"` and `tls_required_for_senders`.
    Tls,
    /// What the profile's `on_missing`, `on_invalid` and `on_no_match` reject, and who cannot be judged now.
    Certificate,
    /// `smtp_auth = "required"`.
    Auth,
    /// The allowance query says no. Tried out by the profile's `on_not_allowed`; the others by the policy's `monitor`.
    Allowance,
    /// `sender` and `null_sender`.
    Sender,
    /// `from_header`.
    FromHeader,
    /// Which of the listener's own recipients there are.
    Recipients,
    /// What a client or an identity may do within an hour.
    Limits,
}

impl Rule {
    /// Every rule, in the order in which a session meets them.
    pub const ALL: [Self; 8] = [
        Self::Tls,
        Self::Certificate,
        Self::Auth,
        Self::Allowance,
        Self::Sender,
        Self::FromHeader,
        Self::Recipients,
        Self::Limits,
    ];

    /// As `monitor` writes it, and the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Certificate => "certificate",
            Self::Auth => "auth",
            Self::Allowance => "allowance",
            Self::Sender => "sender",
            Self::FromHeader => "from-header",
            Self::Recipients => "recipients",
            Self::Limits => "limits",
        }
    }

    /// The rule of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == name)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A set of rules.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules(u8);

impl Rules {
    /// Whether the rule is among them.
    pub fn contains(self, rule: Rule) -> bool {
        self.0 & (1 << rule as u8) != 0
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// One more.
    pub fn insert(&mut self, rule: Rule) {
        self.0 |= 1 << rule as u8;
    }

    /// All of them, in the order of [`Rule::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Rule> {
        Rule::ALL.into_iter().filter(move |rule| self.contains(*rule))
    }
}

impl FromIterator<Rule> for Rules {
    fn from_iter<I: IntoIterator<Item = Rule>>(rules: I) -> Self {
        let mut set = Self::default();
        rules.into_iter().for_each(|rule| set.insert(rule));
        set
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        for rule in Rule::ALL {
            let alone: Rules = [rule, rule].into_iter().collect();
            assert_eq!(alone.iter().collect::<Vec<_>>(), [rule]);
            let others: Rules = Rule::ALL.into_iter().filter(|other| *other != rule).collect();
            assert!(!others.contains(rule) && others.iter().count() == Rule::ALL.len() - 1);
        }
        assert_eq!((Rules::default().iter().count(), Rules::default().is_empty()), (0, true));
        let two: Rules = [Rule::Auth, Rule::Tls].into_iter().collect();
        assert_eq!((two.is_empty(), format!("{two:?}").as_str()), (false, "{Tls, Auth}"));
        let all: Rules = Rule::ALL.into_iter().rev().collect();
        assert_eq!(all.iter().collect::<Vec<_>>(), Rule::ALL);
    }

    #[test]
    fn settings_and_reports_name_rules_alike() {
        #[derive(Deserialize)]
        struct Settings {
            monitor: Vec<Rule>,
        }
        for rule in Rule::ALL {
            let written: Settings = toml::from_str(&format!("monitor = [\"{rule}\"]")).unwrap();
            assert_eq!((written.monitor, Rule::named(rule.name())), (vec![rule], Some(rule)));
        }
        assert_eq!(Rule::named("access"), None);
    }
}
