//! What `postern explain` tells of the how-tos: the steps of their judgements, as transcripts.

use std::fmt::Write as _;
use std::fs;

use postern_policy::{Judgement, judge};

use crate::render;
use crate::table::Scope;

/// Settings and facts as the tables write them; under each `facts:` the steps, indented.
#[test]
fn the_how_tos_are_explained_step_by_step() {
    let text = fs::read_to_string(crate::folder().join("explanations/how-tos.txt")).unwrap();
    let mut scope = Scope::default();
    let mut lines = (1..).zip(text.lines()).peekable();
    let (mut cases, mut failures) = (0, String::new());
    while let Some((number, line)) = lines.next() {
        let Some(facts) = line.strip_prefix("facts:") else {
            scope.line(line).unwrap_or_else(|error| panic!("how-tos.txt:{number}: {error}"));
            continue;
        };
        let (policy, profile, facts) =
            scope.case(facts).unwrap_or_else(|error| panic!("how-tos.txt:{number}: {error}"));
        let mut expected = String::new();
        while let Some((_, step)) = lines.next_if(|(_, line)| line.starts_with(' ')) {
            let _ = writeln!(expected, "{step}");
        }
        let got = transcript(&judge(&facts, &policy, &profile));
        if got != expected {
            let _ = write!(failures, "\nhow-tos.txt:{number}: {line}\n  expected\n{expected}  got\n{got}");
        }
        cases += 1;
    }
    assert!(failures.is_empty(), "explained otherwise:\n{failures}");
    assert!(cases >= 20, "only {cases} transcripts");
}

fn transcript(judgement: &Judgement) -> String {
    let mut text = String::new();
    for step in &judgement.steps {
        let _ = writeln!(text, "    {:<19}{:<21}{}", step.question, step.effect, step.answer);
    }
    let mail = match &judgement.mail {
        Ok(clearance) => render::whom(clearance),
        Err(refusal) => refusal.to_string(),
    };
    let _ = writeln!(text, "    => {mail}");
    text
}
