//! `postern directory audit`: everybody in a directory, with what would become of their certificates in a session.

mod judge;
mod output;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use directory::{Directory, Filter, Query, Template, Tokens, Walk};
use indicatif::{ProgressBar, ProgressStyle};
use pki::{Time, Verifier};
use tokio::task::JoinSet;

use self::judge::{Auditor, PersonRow, State};
use self::output::Output;
use super::{NO, fail};
use crate::cli::DirectoryAudit;
use crate::directories::no_directory;
use crate::run;

/// For what a judgement lacks: OCSP answers, issuers. As `postern certificate verify` waits.
const MAX_WAIT: Duration = Duration::from_secs(30);

pub(super) fn audit(arguments: &DirectoryAudit) -> ExitCode {
    let filter = match arguments.filter.as_deref().map(parse_filter).transpose() {
        Ok(filter) => filter,
        Err(why) => return fail(&why),
    };
    // Made before the configuration's folder is entered: these paths are the shell's.
    let output = match Output::open(arguments.csv.as_deref(), arguments.json.as_deref()) {
        Ok(output) => output,
        Err(why) => return fail(&why),
    };
    let (_, configuration) = match run::load(&arguments.config.config) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let names: Vec<&str> = configuration.directories.iter().map(|one| one.name()).collect();
    let Some(directory) = configuration.directories.iter().find(|one| one.name() == arguments.name) else {
        return fail(&no_directory(&arguments.name, &names));
    };
    let Some(trust) = configuration.trusts.iter().find(|found| found.name() == arguments.trust) else {
        let names: Vec<&str> = configuration.trusts.iter().map(|trust| trust.name()).collect();
        return fail(&format!("there is no [trust.{}]; there are: {}", arguments.trust, names.join(", ")));
    };
    let at = arguments.at.unwrap_or_else(Time::now);
    let verifier = Verifier::new(Arc::clone(trust), configuration.knowledge.clone(), MAX_WAIT);
    let auditor = match Auditor::new(Arc::clone(directory), verifier, at, arguments.expiring) {
        Ok(auditor) => Arc::new(auditor),
        Err(why) => return fail(&why),
    };
    let (directory, base) = (Arc::clone(directory), arguments.base.clone());
    let heading = format!("directory {}, trust {}, at {at}", arguments.name, arguments.trust);
    run::block_on(async move {
        match everybody(&directory, filter.as_ref(), base.as_deref(), auditor, output).await {
            Ok(output) => finish(output, &heading),
            Err(why) => fail(&format!("not everybody was looked at: {why}")),
        }
    })
}

/// A filter without a client: tokens have no value here.
fn parse_filter(text: &str) -> Result<Filter, String> {
    let template = Template::parse(text, Query::SmtpAuth).map_err(|error| format!("--filter: {error}"))?;
    template
        .resolve(&Tokens::new())
        .map_err(|error| format!("--filter: {error}: write a value, there is no client here"))
}

/// Page after page; a page's people are judged at the same time.
async fn everybody(
    directory: &Directory,
    filter: Option<&Filter>,
    base: Option<&str>,
    auditor: Arc<Auditor>,
    mut output: Output,
) -> Result<Output, String> {
    let mut walk: Walk = directory.walk(filter, base).await?;
    // On a terminal only, and not in what is written to standard output.
    let progress = ProgressBar::new_spinner().with_message(format!("{} from {}", walk.filter(), walk.server()));
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} people, {per_sec}, {elapsed}: {wide_msg}") {
        progress.set_style(style);
    }
    progress.enable_steady_tick(Duration::from_millis(100));
    output.begin(&walk.filter(), walk.server()).map_err(|error| error.to_string())?;
    while let Some(page) = walk.next_page().await? {
        let mut judging = JoinSet::new();
        for (place, listed) in page.into_iter().enumerate() {
            let auditor = Arc::clone(&auditor);
            judging.spawn(async move { (place, auditor.judge(listed).await) });
        }
        let mut rows: Vec<(usize, PersonRow)> = Vec::new();
        while let Some(judged) = judging.join_next().await {
            rows.push(judged.map_err(|error| error.to_string())?);
            progress.inc(1);
        }
        // In the directory's order.
        rows.sort_by_key(|row| row.0);
        for (_, row) in rows {
            output.add(row).map_err(|error| format!("writing: {error}"))?;
        }
    }
    progress.finish_and_clear();
    Ok(output)
}

fn finish(mut output: Output, heading: &str) -> ExitCode {
    if let Err(error) = output.end() {
        return fail(&format!("writing: {error}"));
    }
    output.print(heading);
    let count = |is: fn(&State) -> bool| output.totals().iter().filter(|total| is(total.0)).map(|total| total.1).sum();
    let (unanswered, attention): (u64, u64) =
        (count(|state| *state == State::Unanswered), count(|it| it.needs_attention()));
    match (unanswered, attention) {
        (1.., _) => ExitCode::FAILURE,
        (0, 1..) => ExitCode::from(NO),
        (0, 0) => ExitCode::SUCCESS,
    }
}
