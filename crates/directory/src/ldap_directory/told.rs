//! What is told of a question's searches, where somebody listens.

use std::sync::Arc;
use std::time::Duration;

use crate::account::closed;
use crate::cache::FoundEntries;
use crate::filter::Filter;
use crate::ldap::message::{Depth, FoundEntry};
use crate::step::{Question, SeenEntry, Sight, Step, Trace};

/// What is told of a question's searches.
pub(super) struct Told {
    pub(super) trace: Trace,
    question: Question,
    filter: String,
    scope: &'static str,
    /// The attributes that are shown; a password is never among them.
    shown: Vec<String>,
}

/// Only where somebody listens is anything made ready for telling.
pub(super) fn told(
    trace: &Trace,
    question: Question,
    filter: &Filter,
    depth: Depth,
    shown: &[String],
) -> Option<Arc<Told>> {
    let scope = match depth {
        Depth::Base => "base",
        Depth::OneLevel => "one",
        Depth::Subtree => "sub",
    };
    trace.is_heard().then(|| {
        let (trace, filter, shown) = (trace.clone(), filter.to_string(), shown.to_vec());
        Arc::new(Told { trace, question, filter, scope, shown })
    })
}

impl Told {
    fn step(&self, base: Option<&str>, found: Sight) -> Step {
        Step {
            question: self.question,
            asked: self.filter.clone(),
            base: base.map(str::to_owned),
            scope: base.is_some().then_some(self.scope),
            server: None,
            took: None,
            remembered: false,
            found,
        }
    }

    pub(super) fn failed(&self, base: &str, why: &str) {
        self.trace.tell(self.step(Some(base), Sight::Unavailable(why.to_owned())));
    }

    pub(super) fn answered(
        &self,
        base: &str,
        server: String,
        took: Duration,
        found: &Result<FoundEntries, String>,
        names: &[String],
    ) {
        let step = self.step(Some(base), self.sight(found, names));
        self.trace.tell(Step { server: Some(server), took: Some(took), ..step });
    }

    pub(super) fn remembered(&self, found: &Result<FoundEntries, String>) {
        self.trace.tell(Step { remembered: true, ..self.step(None, self.sight(found, &[])) });
    }

    fn sight(&self, found: &Result<FoundEntries, String>, names: &[String]) -> Sight {
        match found {
            Ok(FoundEntries::Nobody) => Sight::Nobody,
            Ok(FoundEntries::Several) => Sight::Several(names.to_vec()),
            Ok(FoundEntries::One(entry)) => Sight::Entry(seen(entry, &self.shown)),
            Err(why) => Sight::Unavailable(why.clone()),
        }
    }
}

/// What may be shown of an entry.
fn seen(entry: &FoundEntry, shown: &[String]) -> SeenEntry {
    let values = |name: &String| entry.values(name).map(|value| String::from_utf8_lossy(value).into_owned()).collect();
    let there = |(_, values): &(String, Vec<String>)| !values.is_empty();
    SeenEntry {
        dn: entry.dn.clone(),
        attributes: shown.iter().map(|name| (name.clone(), values(name))).filter(there).collect(),
        closed: closed(entry, jiff::Timestamp::now()),
    }
}
