//! The tour: every kind of client at the front door, and what becomes of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use comfy_table::{Cell, Table};
use demo::client::{Credentials, Security, Submission, submit};
use demo::{ClientTls, NextHop, Pki, TlsVersions};

use super::Failure;
use super::folder::{ALICE, CAROL, Ports};
use crate::table::table;

/// One client.
struct Visit {
    who: &'static str,
    door: Door,
    /// Files of this name in `pki/`.
    certificate: Option<&'static str>,
    credentials: Credentials<'static>,
    from: &'static str,
    /// What should happen, by the code of the decisive reply.
    expected: (u16, &'static str),
}

#[derive(Clone, Copy)]
enum Door {
    StartTls,
    Implicit,
}

const VISITS: [Visit; 10] = [
    Visit {
        who: "Alice, with her certificate",
        door: Door::StartTls,
        certificate: Some("alice"),
        credentials: Credentials::None,
        from: "alice@example.mil",
        expected: (250, "recognised, accepted"),
    },
    Visit {
        who: "Bob, with his certificate",
        door: Door::Implicit,
        certificate: Some("bob"),
        credentials: Credentials::None,
        from: "bob@example.mil",
        expected: (250, "recognised, accepted"),
    },
    Visit {
        who: "Alice, writing as Bob",
        door: Door::StartTls,
        certificate: Some("alice"),
        credentials: Credentials::None,
        from: "bob@example.mil",
        expected: (550, "recognised, sender refused"),
    },
    Visit {
        who: "an expired certificate",
        door: Door::StartTls,
        certificate: Some("expired"),
        credentials: Credentials::None,
        from: "bob@example.mil",
        expected: (554, "certificate refused"),
    },
    Visit {
        who: "a revoked certificate",
        door: Door::StartTls,
        certificate: Some("revoked"),
        credentials: Credentials::None,
        from: "alice@example.mil",
        expected: (554, "certificate refused"),
    },
    Visit {
        who: "a stranger's CA, Alice's names",
        door: Door::Implicit,
        certificate: Some("stranger"),
        credentials: Credentials::None,
        from: "alice@example.mil",
        expected: (554, "certificate refused"),
    },
    Visit {
        who: "nobody: no certificate, no password",
        door: Door::StartTls,
        certificate: None,
        credentials: Credentials::None,
        from: "alice@example.mil",
        expected: (530, "asked to authenticate"),
    },
    Visit {
        who: "Carol, right password",
        door: Door::StartTls,
        certificate: None,
        credentials: Credentials::Plain(CAROL.0, CAROL.1),
        from: "carol@example.mil",
        expected: (250, "recognised, accepted"),
    },
    Visit {
        who: "Carol, wrong password",
        door: Door::StartTls,
        certificate: None,
        credentials: Credentials::Plain(CAROL.0, "a guess"),
        from: "carol@example.mil",
        expected: (535, "password refused"),
    },
    Visit {
        who: "Alice, right password, no card",
        door: Door::Implicit,
        certificate: None,
        credentials: Credentials::Login(ALICE.0, ALICE.1),
        from: "alice@example.mil",
        expected: (535, "refused: has a card, must use it"),
    },
];

/// What became of one visit.
struct Row {
    who: &'static str,
    happened: String,
    reply: String,
    place: Option<PathBuf>,
    as_it_should: bool,
}

pub(super) struct Tour(Vec<Row>);

/// How long a message may take to the next hop.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn take(pki: &Pki, ports: &Ports, next_hop: &NextHop) -> Result<Tour, Failure> {
    let mut rows = Vec::with_capacity(VISITS.len());
    for (number, visit) in VISITS.iter().enumerate() {
        rows.push(row(number, visit, pki, ports, next_hop).await?);
    }
    Ok(Tour(rows))
}

async fn row(number: usize, visit: &Visit, pki: &Pki, ports: &Ports, next_hop: &NextHop) -> Result<Row, Failure> {
    let identity = visit.certificate.map(|name| pki.identity(name)).transpose()?;
    let tls = ClientTls::new(pki.anchor()?, identity, TlsVersions::Both)?;
    let (port, security) = match visit.door {
        Door::StartTls => (ports.starttls, Security::StartTls(&tls)),
        Door::Implicit => (ports.implicit, Security::Implicit(&tls)),
    };
    let message_id = format!("<tour-{number}-{}@postern.demo>", std::process::id());
    let message = format!(
        "From: {}\r\nTo: somebody@example.net\r\nSubject: {}\r\nMessage-ID: {message_id}\r\n\r\nA stop of the tour.\r\n",
        visit.from, visit.who
    );
    let submission = Submission {
        from: visit.from,
        to: &["somebody@example.net"],
        message: message.as_bytes(),
        credentials: visit.credentials,
    };
    let submitted = submit(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), security, &submission).await?;
    let (code, happened) = visit.expected;
    let place = match submitted.accepted {
        true => next_hop.wait_for(&message_id, PATIENCE).await,
        false => None,
    };
    let as_expected = submitted.decisive.code() == code;
    let arrived = submitted.accepted == place.is_some();
    Ok(Row {
        who: visit.who,
        happened: match (as_expected, arrived) {
            (true, true) => happened.to_owned(),
            (true, false) => "accepted, but it did not arrive".to_owned(),
            (false, _) => format!("UNEXPECTED: {code} should have come"),
        },
        reply: submitted.decisive.to_string(),
        place,
        as_it_should: as_expected && arrived,
    })
}

impl Tour {
    pub(super) fn went_as_it_should(&self) -> bool {
        self.0.iter().all(|row| row.as_it_should)
    }

    pub(super) fn table(&self, root: &Path) -> Table {
        let mut table = table();
        table.set_header(["", "who", "what happened", "the SMTP reply the client saw", "where the message is now"]);
        for row in &self.0 {
            let place =
                row.place.as_deref().map(|place| place.strip_prefix(root).unwrap_or(place).display().to_string());
            table.add_row([
                Cell::new(if row.as_it_should { "✓" } else { "✗" }),
                Cell::new(row.who),
                Cell::new(&row.happened),
                Cell::new(&row.reply),
                Cell::new(place.unwrap_or_else(|| "nowhere".to_owned())),
            ]);
        }
        table
    }
}
