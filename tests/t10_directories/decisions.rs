//! The decision table: every row by every how-to.

use std::sync::Arc;

use demo::{Client, Credentials};

use super::how_tos::{Beds, Kind, greeted, send};
use super::people::password;
use crate::harness::Gateway;

const TABLE: &str = include_str!("decisions.txt");

/// A column.
struct Column {
    name: &'static str,
    configuration: &'static str,
    /// Where the client comes from.
    from: &'static str,
}

const COLUMNS: [Column; 5] = [
    Column {
        name: "how-to 1",
        configuration: include_str!("../t03_authentication/how-to-1-client-certificate/postern.toml"),
        from: "10.1.2.3",
    },
    Column {
        name: "how-to 2",
        configuration: include_str!("../t03_authentication/how-to-2-smtp-auth-with-allowance/postern.toml"),
        from: "10.1.2.3",
    },
    Column {
        name: "how-to 3",
        configuration: include_str!("../t03_authentication/how-to-3-certificate-or-smtp-auth/postern.toml"),
        from: "10.1.2.3",
    },
    Column {
        name: "reader",
        configuration: include_str!("../t03_authentication/how-to-4-by-client-address/postern.toml"),
        from: "10.1.2.3",
    },
    Column {
        name: "machine",
        configuration: include_str!("../t03_authentication/how-to-4-by-client-address/postern.toml"),
        from: "10.2.2.3",
    },
];

struct Row {
    /// As it is written.
    text: &'static str,
    card: Option<&'static str>,
    login: Option<(&'static str, String)>,
    expected: Vec<&'static str>,
    log: &'static str,
}

/// What the words in the columns stand for, and the rows.
fn table() -> (Vec<(&'static str, &'static str)>, Vec<Row>) {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let (rows, replies): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.contains('|'));
    // The word, and the reply from its code on.
    let reply = |line: &'static str| {
        let code = line.find(|c: char| c.is_ascii_digit()).unwrap();
        (line[..code].trim(), &line[code..])
    };
    // After the line of headings.
    (replies.into_iter().map(reply).collect(), rows.into_iter().skip(1).map(row).collect())
}

fn row(text: &'static str) -> Row {
    let mut cells = text.split('|').map(str::trim);
    let given: Vec<&str> = cells.next().unwrap().split_whitespace().collect();
    let login = given.get(2).map(|kind| {
        let password = match *kind {
            "right" => password(given[1]),
            "wrong" => "a guess".to_owned(),
            "empty" => String::new(),
            other => panic!("{other} in {text}"),
        };
        (given[1], password)
    });
    let mut cells: Vec<&str> = cells.collect();
    let log = cells.pop().unwrap();
    assert_eq!(cells.len(), COLUMNS.len(), "{text}");
    Row { text, card: Some(given[0]).filter(|card| *card != "-"), login, expected: cells, log }
}

/// Plays the whole table; all that differs is told at once.
pub(super) async fn all(beds: &Beds) {
    let (replies, rows) = table();
    assert_eq!((replies.len(), rows.len()), (9, 43), "rows went missing");
    let mut failures = Vec::new();
    let mut of_how_to_4 = None;
    for (number, column) in COLUMNS.iter().enumerate() {
        // Both networks of the fourth are one gateway's.
        let gateway = match of_how_to_4.take() {
            Some(gateway) => gateway,
            None => Arc::new(beds.world.start(&beds.how_to(column.configuration))),
        };
        if column.name == "reader" {
            of_how_to_4 = Some(Arc::clone(&gateway));
        }
        for row in &rows {
            // Only Active Directory's accounts end by themselves, for certificates too.
            if row.text.contains("igor") && beds.kind != Kind::ActiveDirectory {
                continue;
            }
            let expected = row.expected[number];
            let got = attempt(beds, &gateway, column, row).await;
            let is_expected = match replies.iter().find(|reply| reply.0 == expected) {
                None => got == format!("sent as {expected}"),
                Some((_, reply)) => matches(reply, &got),
            };
            if !is_expected {
                failures.push(format!("{}: {}\n    expected: {expected}\n    got:      {got}", column.name, row.text));
            }
        }
        beds.step(column.name);
    }
    assert!(failures.is_empty(), "{:?}\n{}", beds.kind, failures.join("\n"));
}

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => text.starts_with(start),
        None => text == pattern,
    }
}

/// One session: who sent, or the reply that stood in the way, with what the log ought to have said of it.
async fn attempt(beds: &Beds, gateway: &Gateway, column: &Column, row: &Row) -> String {
    let before = gateway.log_length();
    let tls = beds.world.tls(row.card);
    let mut client: Client = match greeted(gateway.address("submission"), column.from, &tls).await {
        Ok(client) => client,
        Err(refusal) => return refusal,
    };
    if let Some((user, password)) = &row.login {
        let reply = client.authenticate(Credentials::Plain(user, password)).await.unwrap().unwrap().to_string();
        if reply.starts_with("535 ") {
            let line = gateway.wait_for_log_after(before, "AUTH refused", |line| line["message"] == "AUTH refused");
            let reason = line["reason"].as_str().unwrap();
            if line["user"] != *user || !reason.contains(row.log) || row.log.is_empty() {
                return format!("{reply}, and in the log {reason:?} instead of {:?}", row.log);
            }
        }
        if !reply.starts_with("235 ") {
            return reply;
        }
    }
    let sender = row.login.as_ref().map(|login| login.0).or(row.card).unwrap_or("nobody");
    let subject = format!("{} {}", column.name, row.text.replace('|', ""));
    let reply = send(&mut client, &format!("{sender}@example.mil"), &subject).await;
    if !reply.starts_with("250 ") {
        return reply;
    }
    let delivered = beds.world.delivered(&format!("Subject: {subject}\r\n")).await;
    let results = delivered.field("Authentication-Results");
    match results.strip_prefix("mail.example.mil; auth=pass smtp.auth=") {
        Some(user_id) => format!("sent as {user_id}"),
        None => format!("sent with {results}"),
    }
}
