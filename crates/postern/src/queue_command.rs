//! `postern queue`: the running gateway's queue, looked at and put in order.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use spool::{AGES, Filter, MessageId, Order, Page, Queued, Summary};

use crate::cli::{QueueCommand, QueueFilter, QueueOrder};
use crate::config;
use crate::control::{self, Answer, Request};
use crate::queue::{MAX_PAGE, QueueAnswer, QueueRequest};
use crate::run;
use crate::table::table;

pub(crate) fn queue(command: &QueueCommand) -> ExitCode {
    let config = match command {
        QueueCommand::List { config, .. } | QueueCommand::Show { config, .. } | QueueCommand::Export { config, .. } => {
            config
        }
        QueueCommand::Summary { config, .. } => config,
        QueueCommand::Retry(order) | QueueCommand::Hold(order) | QueueCommand::Release(order) => &order.config,
        QueueCommand::Bounce(order) | QueueCommand::Delete(order) => &order.config,
    };
    // Before the configuration's folder is entered.
    let dir = match command {
        QueueCommand::Export { dir, .. } => std::path::absolute(dir).unwrap_or_default(),
        _ => PathBuf::new(),
    };
    run::block_on(async {
        let gateway = match Gateway::find(&config.config) {
            Ok(gateway) => gateway,
            Err(code) => return code,
        };
        let done = match command {
            QueueCommand::List { filter, limit, json, .. } => list(&gateway, filter, *limit, *json).await,
            QueueCommand::Show { id, json, .. } => show(&gateway, *id, *json).await,
            QueueCommand::Summary { filter, json, .. } => summarize(&gateway, filter, *json).await,
            QueueCommand::Export { id, .. } => export(&gateway, *id, &dir).await,
            QueueCommand::Retry(order) => carry_out(&gateway, Order::Retry, order).await,
            QueueCommand::Hold(order) => carry_out(&gateway, Order::Hold, order).await,
            QueueCommand::Release(order) => carry_out(&gateway, Order::Release, order).await,
            QueueCommand::Bounce(order) => carry_out(&gateway, Order::Bounce, order).await,
            QueueCommand::Delete(order) => carry_out(&gateway, Order::Delete, order).await,
        };
        done.unwrap_or_else(|why| {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        })
    })
}

/// The running gateway of a configuration.
struct Gateway {
    state_dir: PathBuf,
}

impl Gateway {
    fn find(config: &Path) -> Result<Self, ExitCode> {
        let file = run::enter_folder(config).map_err(|problem| run::refuse(&[problem]))?;
        match config::state_dir(&file) {
            Some(state_dir) => Ok(Self { state_dir }),
            None => Err(run::load(&file).err().unwrap_or(ExitCode::FAILURE)),
        }
    }

    async fn ask(&self, request: QueueRequest) -> Result<QueueAnswer, String> {
        match control::ask(&self.state_dir, &Request::Queue(request)).await {
            Ok(Some(Answer::Queue(QueueAnswer::Failed(why)))) => Err(format!("the spool cannot be read: {why}")),
            Ok(Some(Answer::Queue(answer))) => Ok(answer),
            Ok(Some(Answer::NotUnderstood(why))) => Err(format!("the gateway is of another version: {why}")),
            Ok(Some(_)) => Err("the gateway answers another question".to_owned()),
            Ok(None) => Err(format!("no gateway runs on {}", self.state_dir.display())),
            Err(error) => Err(format!("the gateway does not answer: {error}")),
        }
    }

    async fn page(&self, filter: &Filter, after: Option<MessageId>, limit: usize) -> Result<Page, String> {
        match self.ask(QueueRequest::Page { filter: filter.clone(), after, limit }).await? {
            QueueAnswer::Page(page) => Ok(page),
            _ => Err("the gateway answers another question".to_owned()),
        }
    }
}

fn filter(given: &QueueFilter) -> Filter {
    Filter {
        sender: given.sender.clone(),
        recipient: given.recipient.clone(),
        domain: given.domain.clone(),
        older_than: given.older_than.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
        held: given.held,
        ids: given.id.clone(),
    }
}

fn now() -> u64 {
    u64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

/// `2h 5m`, of milliseconds: no more than two units.
fn span(millis: u64) -> String {
    let text = humantime::format_duration(Duration::from_secs(millis / 1000)).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// Prints as it comes, so that a long queue takes no memory.
async fn list(gateway: &Gateway, given: &QueueFilter, limit: usize, json: bool) -> Result<ExitCode, String> {
    let (filter, mut after, mut left) = (filter(given), None, limit);
    loop {
        let page = gateway.page(&filter, after, left.min(MAX_PAGE)).await?;
        left = left.saturating_sub(page.messages.len());
        for message in &page.messages {
            if json {
                println!("{}", serde_json::to_string(message).map_err(|error| error.to_string())?);
            } else {
                print(message);
            }
        }
        after = page.next;
        if after.is_none() || left == 0 {
            if after.is_some() {
                eprintln!("there may be more: these are the oldest {limit}; see --limit");
            }
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// One line for the message, one for each recipient who waits.
fn print(message: &Queued) {
    let Queued { id, size, sender, .. } = message;
    let held = if message.held { ", held" } else { "" };
    println!("{id}  {sender}  {size} octets, {} old{held}", span(now().saturating_sub(message.arrived)));
    for recipient in &message.recipients {
        let next = match (message.held, recipient.attempts) {
            (true, _) => "held".to_owned(),
            (false, 0) => "not tried yet".to_owned(),
            (false, _) if recipient.next <= now() => "due".to_owned(),
            (false, _) => format!("again in {}", span(recipient.next.saturating_sub(now()))),
        };
        println!("    {}  {next}", recipient.to);
        if !recipient.reason.is_empty() {
            println!("        {}", recipient.reason);
        }
    }
}

async fn show(gateway: &Gateway, id: MessageId, json: bool) -> Result<ExitCode, String> {
    let filter = Filter { ids: vec![id], ..Filter::default() };
    let page = gateway.page(&filter, None, 1).await?;
    let message = page.messages.first().ok_or_else(|| format!("{id} is not in the queue"))?;
    if json {
        println!("{}", serde_json::to_string_pretty(message).map_err(|error| error.to_string())?);
        return Ok(ExitCode::SUCCESS);
    }
    print(message);
    if !message.identity.is_empty() {
        println!("sent by {}", message.identity);
    }
    let attempts = message.recipients.iter().map(|recipient| recipient.attempts).max().unwrap_or_default();
    println!("attempts: {attempts}; recipients dealt with: {}", message.done);
    Ok(ExitCode::SUCCESS)
}

/// By domain and age, the longest rows first.
async fn summarize(gateway: &Gateway, given: &QueueFilter, json: bool) -> Result<ExitCode, String> {
    let (filter, mut after) = (filter(given), None);
    let mut all = Summary::default();
    loop {
        let QueueAnswer::Summary(part) = gateway.ask(QueueRequest::Summary { filter: filter.clone(), after }).await?
        else {
            return Err("the gateway answers another question".to_owned());
        };
        after = part.next;
        add(&mut all, part);
        if after.is_none() {
            break;
        }
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&all).map_err(|error| error.to_string())?);
        return Ok(ExitCode::SUCCESS);
    }
    let oldest = all.oldest.map_or_else(|| "none".to_owned(), |at| span(now().saturating_sub(at)));
    println!("messages: {}, deferred: {}, held: {}, the oldest: {oldest}", all.messages, all.deferred, all.held);
    if !all.domains.is_empty() {
        println!("{}", rows(&all.domains));
    }
    Ok(ExitCode::SUCCESS)
}

fn add(all: &mut Summary, part: Summary) {
    all.messages += part.messages;
    all.held += part.held;
    all.deferred += part.deferred;
    all.oldest = all.oldest.into_iter().chain(part.oldest).min();
    for (domain, counts) in part.domains {
        let row = all.domains.entry(domain).or_default();
        row.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
}

/// Recipients that wait, by minutes.
fn rows(domains: &BTreeMap<String, [u64; AGES.len() + 1]>) -> comfy_table::Table {
    let mut shown = table();
    let ages = AGES.iter().map(|age| format!("<{age}")).chain(AGES.last().map(|age| format!("{age}+")));
    shown.set_header(["minutes".to_owned(), "all".to_owned()].into_iter().chain(ages));
    let mut sorted: Vec<_> = domains.iter().map(|(domain, row)| (row.iter().sum::<u64>(), domain, row)).collect();
    sorted.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    for (sum, domain, row) in sorted {
        shown.add_row([domain.clone(), sum.to_string()].into_iter().chain(row.iter().map(ToString::to_string)));
    }
    shown
}

async fn carry_out(gateway: &Gateway, order: Order, given: &QueueOrder) -> Result<ExitCode, String> {
    let mut filter = filter(&given.filter);
    filter.ids.extend(&given.ids);
    let is_for_some = !filter.ids.is_empty()
        || filter.held
        || filter.older_than.is_some()
        || [&filter.sender, &filter.recipient, &filter.domain].into_iter().any(Option::is_some);
    if is_for_some == given.all {
        return Err("name messages, by id or by a filter, or say --all".to_owned());
    }
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let page = gateway.page(&filter, after, MAX_PAGE).await?;
        ids.extend(page.messages.iter().map(|message| message.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    if ids.is_empty() {
        return Err("no such message is in the queue".to_owned());
    }
    if matches!(order, Order::Bounce | Order::Delete) && !given.yes && !confirm(order, ids.len())? {
        return Err("nothing was done".to_owned());
    }
    let mut refused = Vec::new();
    for ids in ids.chunks(MAX_PAGE) {
        match gateway.ask(QueueRequest::Order { order, ids: ids.to_vec() }).await? {
            QueueAnswer::Ordered(mut some) => refused.append(&mut some),
            _ => return Err("the gateway answers another question".to_owned()),
        }
    }
    refused.iter().for_each(|(id, why)| eprintln!("{id}: {why}"));
    println!("done: {}, refused: {}", ids.len().saturating_sub(refused.len()), refused.len());
    Ok(if refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn confirm(order: Order, count: usize) -> Result<bool, String> {
    if !io::stdin().is_terminal() {
        return Err("this cannot be undone: say --yes".to_owned());
    }
    let what = if order == Order::Delete { "delete, and tell nobody," } else { "give up, and tell the senders of," };
    eprint!("{what} {count} messages? yes/no: ");
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(|error| error.to_string())?;
    Ok(line.trim().eq_ignore_ascii_case("yes"))
}

/// Two files: the message as it was accepted, and its envelope.
async fn export(gateway: &Gateway, id: MessageId, dir: &Path) -> Result<ExitCode, String> {
    let text = dir.join(format!("{id}.eml"));
    let envelope = dir.join(format!("{id}.envelope.json"));
    match control::export(&gateway.state_dir, id, &text, &envelope).await {
        Ok(Some(Ok(()))) => {
            println!("{}\n{}", text.display(), envelope.display());
            Ok(ExitCode::SUCCESS)
        }
        Ok(Some(Err(why))) => Err(format!("{id}: {why}")),
        Ok(None) => Err(format!("no gateway runs on {}", gateway.state_dir.display())),
        Err(error) => Err(format!("the message cannot be exported: {error}")),
    }
}
