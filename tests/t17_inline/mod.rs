//! Handed on while it comes in: the next hop's replies are the client's, and nothing is kept.

#[allow(dead_code, unreachable_pub)]
#[path = "../../crates/delivery/tests/peers/scripted.rs"]
pub(crate) mod scripted;

use std::time::Duration;

use demo::{Client, Security};
use protocol::Reply;
use scripted::{Do, Hear, HearText, PLAIN, Say, Scripted, Stall, hello};

use crate::harness::postfix::{self, Postfix};
use crate::harness::{Gateway, PATIENCE, World, until};

const CONFIGURATION: &str = include_str!("postern.toml");
const MESSAGE: &[u8] = b"From: <alice@example.mil>\r\nSubject: inline\r\n\r\n.dots\r\n..and more\r\nend\r\n";

/// One route for all; short waits, so that what stalls ends.
fn to(port: u16) -> String {
    format!(
        "{CONFIGURATION}[[route]]\ndomains = [\"*\"]\nhosts = [\"127.0.0.1:{port}\"]\ntls = \"none\"\n\
         timeouts = {{ greeting = \"2s\", command = \"2s\", data = \"2s\", block = \"2s\", end = \"2s\" }}\n"
    )
}

async fn connect(gateway: &Gateway) -> Client {
    let mut client = Client::connect(gateway.address("submission"), Security::Plain).await.unwrap();
    client.ehlo().await.unwrap();
    client
}

async fn mail(client: &mut Client, to: &[&str]) -> Vec<Reply> {
    assert_eq!(client.mail("alice@example.mil").await.unwrap().code(), 250);
    let mut replies = Vec::new();
    for to in to {
        replies.push(client.rcpt(to).await.unwrap());
    }
    replies
}

/// Nothing waits to be delivered, and nothing will be bounced.
fn nothing_is_kept(world: &World) {
    let log = std::fs::read_dir(world.path("state/spool/log")).unwrap();
    let octets: u64 = log.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(octets < 4096, "{octets} octets in the spool");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_hop_answers() {
    if !postfix::available() {
        return;
    }
    let world = World::new().await;
    let postfix = Postfix::start(
        "header_checks = regexp:{{/^Subject: forbidden/ REJECT 5.7.1 Not this subject}}\n\
         smtpd_recipient_restrictions = check_recipient_access inline:{{nobody@example.net = 550 5.1.1 No such mailbox}}, permit\n",
        "",
    )
    .await;
    let gateway = world.start(&to(postfix.address().port()));
    let mut client = connect(&gateway).await;
    assert!(!client.extensions().dsn, "who has no queue sends no notices");

    let replies = mail(&mut client, &["bob@example.net", "nobody@example.net"]).await;
    assert_eq!(replies[0].to_string(), "250 2.1.5 Recipient ok");
    assert_eq!((replies[1].code(), replies[1].to_string().contains("No such mailbox")), (550, true), "{}", replies[1]);
    let said = client.data(MESSAGE).await.unwrap().to_string();
    assert!(said.starts_with("250 2.0.0 Ok: queued as "), "{said}");
    let id = said.rsplit(' ').next().unwrap().to_owned();

    // The verdict on the text is the next hop's too, and the session goes on.
    assert_eq!(mail(&mut client, &["bob@example.net"]).await[0].code(), 250);
    let forbidden = client.data(b"From: <alice@example.mil>\r\nSubject: forbidden\r\n\r\nx\r\n").await.unwrap();
    assert_eq!((forbidden.code(), forbidden.to_string().contains("Not this subject")), (550, true), "{forbidden}");

    // RSET reaches the next hop: the recipient before it gets nothing.
    mail(&mut client, &["carol@example.net"]).await;
    assert_eq!(client.command("RSET").await.unwrap().code(), 250);
    mail(&mut client, &["bob@example.net"]).await;
    assert_eq!(client.data(b"From: <alice@example.mil>\r\nSubject: third\r\n\r\nx\r\n").await.unwrap().code(), 250);

    // What the client says in DSN parameters it would say to nobody.
    let refused = client.command("MAIL FROM:<alice@example.mil> RET=HDRS").await.unwrap();
    assert_eq!(refused.code(), 555, "{refused}");
    client.quit().await.unwrap();

    postfix.received("Subject: third").await;
    let read = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap();
    let arrived: String = postfix.mailbox().into_iter().map(read).collect();
    assert!(arrived.contains(&id) && arrived.contains("Subject: inline"), "{arrived}");
    assert!(arrived.contains("\n.dots\n..and more\nend\n"), "{arrived}");
    assert!(!arrived.contains("forbidden") && !arrived.contains("carol"), "{arrived}");
    assert!(arrived.contains("by gateway.example.org"), "our trace field is on top: {arrived}");
    nothing_is_kept(&world);
}

/// What a client is told at each step at which the next hop can fail, and that it is asked to try again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_next_hop_that_fails_at_any_step() {
    let rcpt = || [hello(PLAIN), vec![Hear("MAIL"), Say("250 ok"), Hear("RCPT")]].concat();
    let data = || [rcpt(), vec![Say("250 ok"), Hear("DATA")]].concat();
    let text = || [data(), vec![Say("354 go")]].concat();
    let cases: Vec<(&str, Vec<Do>, &str)> = vec![
        ("greeting 554", vec![Say("554 no service")], "451 4.4.1"),
        ("greeting silence", vec![Stall], "451 4.4.1"),
        ("MAIL 550", [hello(PLAIN), vec![Hear("MAIL"), Say("550 5.7.1 not you")]].concat(), "550 5.7.1 not you"),
        ("MAIL 421", [hello(PLAIN), vec![Hear("MAIL"), Say("421 4.3.2 closing")]].concat(), "451 4.3.2 closing"),
        ("RCPT 450", [rcpt(), vec![Say("450 4.2.1 later"), Stall]].concat(), "450 4.2.1 later"),
        ("RCPT closes", rcpt(), "451 4.4.1"),
        ("DATA 554", [data(), vec![Say("554 5.6.0 no text"), Stall]].concat(), "554 5.6.0 no text"),
        ("DATA silence", [data(), vec![Stall]].concat(), "451 4.4.1"),
        ("end 552", [text(), vec![HearText, Say("552 5.2.2 mailbox full"), Stall]].concat(), "552 5.2.2 mailbox full"),
        ("end 452", [text(), vec![HearText, Say("452 4.3.1 disk full"), Stall]].concat(), "452 4.3.1 disk full"),
        ("end closes", [text(), vec![HearText]].concat(), "451 4.4.1"),
        ("end silence", [text(), vec![HearText, Stall]].concat(), "451 4.4.1"),
        ("end nonsense", [text(), vec![HearText, Say("hello?"), Stall]].concat(), "451 4.4.1"),
    ];
    let world = World::new().await;
    for (name, script, expected) in cases {
        let scripted = Scripted::start(vec![script]).await;
        let gateway = world.start(&to(scripted.port));
        let mut client = connect(&gateway).await;
        let mut reply = mail(&mut client, &["bob@example.net"]).await.remove(0);
        if reply.is_positive() {
            reply = client.data(MESSAGE).await.unwrap();
        }
        assert!(reply.to_string().starts_with(expected), "{name}: {reply}");
        // The session is unharmed.
        assert_eq!(client.command("NOOP").await.unwrap().code(), 250, "{name}");
        client.quit().await.unwrap();
        assert!(gateway.stop().success(), "{name}");
        nothing_is_kept(&world);
    }
}

/// The next hop goes away between two recipients: what it had accepted is lost with it, so nobody gets half a message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_next_hop_takes_the_transaction_with_it() {
    let script = [hello(PLAIN), vec![Hear("MAIL"), Say("250 ok"), Hear("RCPT"), Say("250 ok"), Hear("RCPT")]].concat();
    let world = World::new().await;
    let scripted = Scripted::start(vec![script, hello(PLAIN)]).await;
    let gateway = world.start(&to(scripted.port));
    let mut client = connect(&gateway).await;
    let replies = mail(&mut client, &["a@example.net", "b@example.net", "c@example.net"]).await;
    let codes: Vec<u16> = replies.iter().map(Reply::code).collect();
    assert_eq!(codes, [250, 451, 451]);
    let reply = client.command("DATA").await.unwrap();
    assert_eq!(reply.to_string(), "451 4.4.2 The connection to the next server was lost; try again later");
}

/// One message goes one way: others are told to be sent separately (RFC 5321 section 4.5.3.1.10).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recipients_of_another_route_are_put_off() {
    let world = World::new().await;
    let route =
        |domain: &str| format!("[[route]]\ndomains = [\"{domain}\"]\nhosts = [\"127.0.0.1:2525\"]\ntls = \"none\"\n");
    let gateway = world.start(&format!("{CONFIGURATION}{}{}", route("example.net"), route("example.com")));
    let mut client = connect(&gateway).await;
    let replies = mail(&mut client, &["a@example.net", "b@example.com", "c@example.net", "d@example.org"]).await;
    let replies: Vec<String> = replies.iter().map(ToString::to_string).collect();
    assert_eq!(replies[1], "452 4.5.3 This recipient's mail goes another way; send it separately");
    assert_eq!(replies[3], "550 5.4.4 No mail is taken for this domain");
    assert!(replies[0].starts_with("250") && replies[2].starts_with("250"), "{replies:?}");
    assert_eq!(client.data(MESSAGE).await.unwrap().code(), 250);
    let path = world.next_hop.wait_for("Subject: inline", PATIENCE).await.unwrap();
    let kept = std::fs::read_to_string(path).unwrap();
    assert!(
        kept.contains("a@example.net") && kept.contains("c@example.net") && !kept.contains("b@example.com"),
        "{kept}"
    );
}

/// A refused header ends the next hop's transaction without a final dot; so do a client that leaves and a killed gateway.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_message_is_none() {
    let text = [
        hello(PLAIN),
        vec![Hear("MAIL"), Say("250 ok"), Hear("RCPT"), Say("250 ok"), Hear("DATA"), Say("354 go"), HearText],
    ]
    .concat();
    let world = World::new().await;
    let scripted = Scripted::start(vec![text.clone(), text]).await;
    let mut gateway = world.start(&to(scripted.port));

    // The client leaves in the middle.
    let mut client = connect(&gateway).await;
    mail(&mut client, &["bob@example.net"]).await;
    assert_eq!(client.command("DATA").await.unwrap().code(), 354);
    client.send(&[b"Subject: half\r\n\r\n".as_slice(), &[b'x'; 900], b"\r\n"].concat()).await.unwrap();
    until("the half", async || scripted.heard_so_far().iter().any(|line| line.contains("xxx")).then_some(())).await;
    drop(client);

    // The gateway is killed in the middle.
    let mut client = connect(&gateway).await;
    mail(&mut client, &["bob@example.net"]).await;
    assert_eq!(client.command("DATA").await.unwrap().code(), 354);
    client.send(&[b"Subject: half\r\n\r\n".as_slice(), &[b'y'; 900], b"\r\n"].concat()).await.unwrap();
    until("the half", async || scripted.heard_so_far().iter().any(|line| line.contains("yyy")).then_some(())).await;
    gateway.kill();
    assert!(client.reply().await.is_err(), "no 250 for half a message");
    assert!(!scripted.heard_so_far().iter().any(|line| line == "."), "{:?}", scripted.heard_so_far());
}

/// 25 MB pass in bounded memory, and at the next hop's pace.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_message_costs_no_memory() {
    let world = World::new().await;
    let gateway = world
        .start(&format!("{CONFIGURATION}[[route]]\ndomains = [\"*\"]\nhosts = [\"127.0.0.1:2525\"]\ntls = \"none\"\n"));
    let mut client = connect(&gateway).await;
    mail(&mut client, &["bob@example.net"]).await;
    let before = gateway.peak_memory();
    let line = [[b'x'; 76].as_slice(), b"\r\n"].concat();
    let message = [b"Subject: large\r\n\r\n".to_vec(), line.repeat(24 * 1024 * 1024 / line.len())].concat();
    assert_eq!(client.data(&message).await.unwrap().code(), 250);
    let grown = gateway.peak_memory() - before;
    assert!(grown < 4 * 1024, "{grown} KiB more for a message of 24 MiB");
    let kept = world.next_hop.wait_for("Subject: large", Duration::from_secs(20)).await.unwrap();
    assert!(std::fs::metadata(kept).unwrap().len() > 24_000_000);
    nothing_is_kept(&world);
}
