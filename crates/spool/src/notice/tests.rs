//! Golden notices, and a second opinion on them by Python's email package.

use std::io::Write as _;
use std::process::{Command, Stdio};

use protocol::{Body, ReversePath};

use super::*;

const NOW: Millis = 1_760_000_000_000;

fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text).unwrap()
}

fn envelope(recipients: &[&str]) -> Envelope {
    let recipient = |text: &&str| Recipient { mailbox: mailbox(text), notify: None, original: None };
    Envelope {
        reverse_path: ReversePath::Mailbox(mailbox("alice@example.org")),
        recipients: recipients.iter().map(recipient).collect(),
        body: Body::SevenBit,
        smtputf8: false,
        require_tls: false,
        ret: None,
        envid: None,
    }
}

fn compose(envelope: &Envelope, action: Action, reply: &str, returned: Returned<'_>) -> String {
    let text = format!("mx.example.net:25: {reply} (in reply to RCPT TO)");
    let report = |recipient| Report {
        recipient,
        action,
        status: EnhancedCode(5, 1, 1),
        host: "mx.example.net",
        reply,
        text: &text,
    };
    let hostname = Domain::parse("gateway.example.org").unwrap();
    let notice = Notice {
        id: MessageId::from_raw(1_760_000_000_000_001),
        hostname: &hostname,
        to: envelope.reverse_path.mailbox().unwrap(),
        envelope,
        subject_id: MessageId::from_raw(1_759_999_999_000_000),
        arrived: NOW - 1000,
        now: NOW,
        reports: envelope.recipients.iter().map(report).collect(),
        returned,
    };
    String::from_utf8(notice.compose()).unwrap()
}

#[test]
fn a_failure() {
    let mut envelope = envelope(&["bob@example.net"]);
    envelope.envid = Some("QQ+2B1".parse().unwrap());
    envelope.recipients[0].original = Some("rfc822;robert+40example.net".parse().unwrap());
    let found =
        compose(&envelope, Action::Failed, "550 5.1.1 nobody here", Returned::Header(b"Subject: hello\r\nFrom: a\r\n"));
    let expected = "\
Date: Thu, 9 Oct 2025 08:53:20 +0000
From: Mail Delivery System <MAILER-DAEMON@gateway.example.org>
To: <alice@example.org>
Subject: Undelivered mail returned to sender
Message-ID: <01J0PMMKT01@gateway.example.org>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary=\"=_01J0PMMKT01.0\"

This is a MIME-encapsulated message.

--=_01J0PMMKT01.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 7bit
Content-Description: Notification

This is the mail system at gateway.example.org.

Your message could not be delivered to the recipients below,
and will not be tried again. What was the matter is said for each.

<bob@example.net>:
    mx.example.net:25: 550 5.1.1 nobody here (in reply to RCPT TO)

The message was 01J0PMMJV5R when it was accepted here.

--=_01J0PMMKT01.0
Content-Type: message/delivery-status
Content-Description: Delivery report

Reporting-MTA: dns; gateway.example.org
Original-Envelope-Id: QQ+1
Arrival-Date: Thu, 9 Oct 2025 08:53:19 +0000

Original-Recipient: rfc822; robert@example.net
Final-Recipient: rfc822; bob@example.net
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.example.net
Diagnostic-Code: smtp; 550 5.1.1 nobody here
Last-Attempt-Date: Thu, 9 Oct 2025 08:53:20 +0000

--=_01J0PMMKT01.0
Content-Type: text/rfc822-headers
Content-Transfer-Encoding: 7bit

Subject: hello
From: a

--=_01J0PMMKT01.0--
";
    // The ids are what they are; the rest is golden.
    let ids = |text: &str| text.replace("01J0PMMKT01", &MessageId::from_raw(1_760_000_000_000_001).to_string());
    let ids = |text: &str| ids(text).replace("01J0PMMJV5R", &MessageId::from_raw(1_759_999_999_000_000).to_string());
    assert_eq!(found.replace("\r\n", "\n"), ids(expected));
    assert!(!found.replace("\r\n", "").contains(['\r', '\n']), "every line ends with CRLF");
}

/// What Python's parser finds in the international form: the types of the parts; the blocks of the report, each field as
/// text; the returned header's subject.
const INTERNATIONAL: &str = r#"
import email, email.policy, sys
policy = email.policy.SMTPUTF8
m = email.message_from_bytes(sys.stdin.buffer.read(), policy=policy)
text, report, returned = m.iter_parts()
print(m.get_content_type(), *[p.get_content_type() for p in (text, report, returned)], [p.defects for p in m.walk() if p.defects])
print(m['To'], '|', text.get_content().count('jörg@example.net'))
for block in report.get_payload(0).as_bytes(policy=policy).strip().split(b'\r\n\r\n'):
    b = email.message_from_bytes(block, policy=policy)
    print({name: str(value) for name, value in b.items()}, b.defects)
print(returned.get_payload(0)['Subject'])
"#;

/// RFC 6533 sections 3 to 5.
#[test]
fn python_reads_the_international_form() {
    let mut envelope = envelope(&["jörg@example.net", "bob@example.net"]);
    envelope.reverse_path = ReversePath::Mailbox(mailbox("zoë@example.org"));
    envelope.smtputf8 = true;
    envelope.recipients[0].original = Some("utf-8;\\x{F6}l@example.net".parse().unwrap());
    let header = "Subject: Grüße\r\nFrom: zoë@example.org\r\n";
    for (returned, kind) in [
        (Returned::Header(header.as_bytes()), "message/global-headers"),
        (Returned::Message(format!("{header}\r\nÄ\r\n").as_bytes()), "message/global"),
    ] {
        let notice = compose(&envelope, Action::Failed, "550 5.1.1 größer", returned);
        let Some(found) = run_python(INTERNATIONAL, &notice) else {
            eprintln!("SKIPPED: python3 is not installed");
            return;
        };
        let lines: Vec<&str> = found.lines().collect();
        assert_eq!(
            lines[0],
            format!("multipart/report text/plain message/global-delivery-status {kind} []"),
            "{found}"
        );
        assert_eq!(lines[1], "zoë@example.org | 1");
        assert!(lines[2].contains("'Reporting-MTA': 'dns; gateway.example.org'"), "{found}");
        assert!(lines[3].contains("'Original-Recipient': 'utf-8; öl@example.net'"), "{found}");
        assert!(lines[3].contains("'Final-Recipient': 'utf-8; jörg@example.net'"), "{found}");
        assert!(
            lines[3].contains("'Diagnostic-Code': 'smtp; 550 5.1.1 größer'") && lines[3].ends_with(" []"),
            "{found}"
        );
        assert!(lines[4].contains("'Final-Recipient': 'rfc822; bob@example.net'"), "{found}");
        assert_eq!(lines[5..], ["Grüße"]);
    }
}

/// RFC 6533 section 3: what came as an international ORCPT goes back so where only ASCII can be said.
#[test]
fn an_international_original_recipient_in_an_ascii_notice() {
    let mut ascii = envelope(&["bob@example.net"]);
    ascii.recipients[0].original = Some("utf-8;j\\x{F6}rg\\x{2B}1@example.net".parse().unwrap());
    let notice = compose(&ascii, Action::Failed, "550 no", Returned::Header(b"Subject: x\r\n"));
    assert!(notice.is_ascii());
    assert!(notice.contains("Original-Recipient: utf-8; j\\x{F6}rg\\x{2B}1@example.net\r\n"), "{notice}");
}

/// What Python's parser finds: content types depth first, then the fields of each delivery-status block.
fn second_opinion(message: &str) -> Option<String> {
    let program = "import email, email.policy, sys\n\
        m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)\n\
        print(*[p.get_content_type() for p in m.walk()])\n\
        print(m.defects, m['Auto-Submitted'], m.get_param('report-type'))\n\
        [print(dict(b)) for p in m.walk() if p.get_content_type() == 'message/delivery-status' for b in p.get_payload()]\n";
    run_python(program, message)
}

fn run_python(program: &str, message: &str) -> Option<String> {
    let mut python = Command::new("python3")
        .env("PYTHONIOENCODING", "utf-8")
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    python.stdin.take()?.write_all(message.as_bytes()).ok()?;
    Some(String::from_utf8(python.wait_with_output().ok()?.stdout).unwrap())
}

#[test]
fn python_reads_it() {
    let envelope = envelope(&["bob@example.net", "carol@example.net"]);
    let message = b"Subject: hello\r\nContent-Type: text/plain\r\n\r\nwith --=_ in it\r\n";
    let notice = compose(&envelope, Action::Failed, "550 no", Returned::Message(message));
    let Some(found) = second_opinion(&notice) else {
        eprintln!("SKIPPED: python3 is not installed");
        return;
    };
    let lines: Vec<&str> = found.lines().collect();
    assert!(lines[0].starts_with("multipart/report text/plain message/delivery-status"), "{found}");
    assert!(lines[0].ends_with("message/rfc822 text/plain"), "{found}");
    assert_eq!(lines[1], "[] auto-replied delivery-status");
    assert!(lines[2].contains("'Reporting-MTA': 'dns; gateway.example.org'"), "{found}");
    assert!(lines[3].contains("bob@example.net") && lines[4].contains("carol@example.net"), "{found}");
    assert!(lines[4].contains("'Action': 'failed'") && lines[4].contains("'Status': '5.1.1'"), "{found}");
}

#[test]
fn a_delay() {
    let until = NOW + 24 * 60 * 60 * 1000;
    let notice = compose(
        &envelope(&["bob@example.net"]),
        Action::Delayed { until },
        "450 4.2.0 later",
        Returned::Header(b"Subject: x\r\n"),
    );
    for expected in [
        "Subject: Mail delayed, still being tried\r\n",
        "It goes on being tried until Fri, 10 Oct 2025 08:53:20 +0000.\r\n",
        "Action: delayed\r\n",
        "Diagnostic-Code: smtp; 450 4.2.0 later\r\nWill-Retry-Until: Fri, 10 Oct 2025 08:53:20 +0000\r\n",
    ] {
        assert!(notice.contains(expected), "{expected}\n{notice}");
    }
}

#[test]
fn a_boundary_that_occurs_in_the_message_is_not_used() {
    let id = MessageId::from_raw(1_760_000_000_000_001);
    let planted = format!("Subject: x\r\n\r\n--=_{id}.0--\r\n--=_{id}.1\r\n");
    let notice =
        compose(&envelope(&["bob@example.net"]), Action::Failed, "550 no", Returned::Message(planted.as_bytes()));
    assert!(notice.contains(&format!("boundary=\"=_{id}.2\"")));
}

#[test]
fn success_final_and_on_its_way() {
    let bob = envelope(&["bob@example.net"]);
    let compose = |action| compose(&bob, action, "250 2.0.0 ok", Returned::Header(b"Subject: x\r\n"));
    let notice = compose(Action::Relayed);
    assert!(notice.contains("Action: relayed\r\n"));
    assert!(notice.contains("Subject: Mail handed on\r\n"));
    let notice = compose(Action::Delivered);
    assert!(notice.contains("Action: delivered\r\n"));
    assert!(notice.contains("Subject: Mail delivered\r\n"));
}

#[test]
fn international_only_where_it_must_be() {
    let mut ascii = envelope(&["bob@example.net"]);
    ascii.smtputf8 = true;
    let notice = compose(&ascii, Action::Failed, "550 größer", Returned::Header(b"Subject: x\r\n"));
    assert!(notice.is_ascii(), "{notice}");
    assert!(notice.contains("Diagnostic-Code: smtp; 550 gr??er") || notice.contains("550 gr?"), "{notice}");
    let mut international = envelope(&["jörg@example.net"]);
    international.smtputf8 = true;
    let notice = compose(&international, Action::Failed, "550 größer", Returned::Header("Subject: ä\r\n".as_bytes()));
    for expected in [
        "Content-Type: message/global-delivery-status\r\n",
        "Content-Type: message/global-headers\r\n",
        "Final-Recipient: utf-8; jörg@example.net\r\n",
        "Diagnostic-Code: smtp; 550 größer\r\n",
    ] {
        assert!(notice.contains(expected), "{expected}\n{notice}");
    }
}

#[test]
fn what_a_next_hop_says_cannot_break_the_form() {
    let long = "x".repeat(5000);
    for reply in ["550 a\r\nStatus: 2.0.0", "550 \u{7f}\u{1b}[31m", long.as_str()] {
        let notice = compose(&envelope(&["bob@example.net"]), Action::Failed, reply, Returned::Header(b""));
        assert!(notice.split("\r\n").all(|line| line.len() <= 998), "RFC 5322 section 2.1.1");
        assert!(!notice.contains("\r\nStatus: 2.0.0"));
        assert!(!notice.contains('\u{1b}'));
    }
}

#[test]
fn headers_of_messages() {
    let table: [(&[u8], &[u8]); 5] = [
        (b"A: 1\r\nB: 2\r\n\r\nbody\r\n\r\nmore", b"A: 1\r\nB: 2\r\n"),
        (b"A: 1\r\n\r\n", b"A: 1\r\n"),
        (b"A: 1\r\n", b"A: 1\r\n"),
        (b"\r\nbody\r\n", b""),
        (b"", b""),
    ];
    for (message, header) in table {
        assert_eq!(header_of(message), header);
    }
}
