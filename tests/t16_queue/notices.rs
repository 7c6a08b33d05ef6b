//! What senders ask to be told, and are: Postfix and Python's smtplib bring mail with DSN parameters, and Postfix's
//! smtp-sink takes it, refuses it, or puts it off.

use std::process::{Child, Stdio};

use crate::harness::peers::{self, command, find, run, run_with_input};
use crate::harness::postfix::{self, Postfix};
use crate::harness::{Gateway, World, until};

const CONFIGURATION: &str = include_str!("postern.toml");

/// A next hop without DSN or SMTPUTF8.
pub(super) struct Sink {
    port: u16,
    child: Child,
}

impl Sink {
    pub(super) async fn start(options: &[&str]) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = std::process::Command::new(find("smtp-sink").unwrap());
        // As root it insists on another user.
        if run(std::process::Command::new("id").arg("-u")).text.trim() == "0" {
            command.args(["-u", "nobody"]);
        }
        let child = command.args(options).arg(format!("127.0.0.1:{port}")).arg("100").stdout(Stdio::null());
        let sink = Self { port, child: child.stderr(Stdio::null()).spawn().unwrap() };
        until("smtp-sink", async || std::net::TcpStream::connect(("127.0.0.1", port)).ok()).await;
        sink
    }

    pub(super) fn route(&self, domain: &str) -> String {
        format!("\n[[route]]\ndomains = [\"{domain}\"]\nhosts = [\"127.0.0.1:{}\"]\ntls = \"none\"\n", self.port)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A gateway whose next hops take mail for `takes.example`, refuse it for `refuses.example`, and put it off for
/// `defers.example`.
struct Hops {
    world: World,
    gateway: Gateway,
    _sinks: [Sink; 3],
}

impl Hops {
    async fn new() -> Self {
        let sinks =
            [Sink::start(&["-N"]).await, Sink::start(&["-f", "RCPT"]).await, Sink::start(&["-r", "RCPT"]).await];
        let domains = ["takes.example", "refuses.example", "defers.example"];
        let routes: String = sinks.iter().zip(domains).map(|(sink, domain)| sink.route(domain)).collect();
        let (before, _) = CONFIGURATION.split_once("\n[[route]]\ndomains = [\"*\"]").unwrap();
        let world = World::new().await;
        let spool = before.replace("[spool]\n", "[spool]\ndelay_notice_after = \"2s\"\n");
        let gateway = world.start(&(spool + &routes));
        Self { world, gateway, _sinks: sinks }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_postfix_asks_for_is_told_as_it_asked() {
    if !postfix::available() || !peers::has(&["smtp-sink", "sendmail"]) {
        return;
    }
    let hops = Hops::new().await;
    let relay = hops.gateway.address("submission");
    let postfix = Postfix::start(&format!("relayhost = [{}]:{}\n", relay.ip(), relay.port()), "").await;
    let to = ["bob@takes.example", "bob@refuses.example", "bob@defers.example"];
    let options = ["-N", "success,failure,delay", "-V", "QQ314159", "-R", "hdrs", "-f", "alice@example.mil"];
    let message = "Subject: three ways\n\nThe body.\n";
    let said = run_with_input(postfix.sendmail().args(options).args(to), message);
    assert!(said.success, "{}", said.text);
    for (to, action) in to.iter().zip(["relayed", "failed", "delayed"]) {
        let notice = hops.world.delivered(&format!("Final-Recipient: rfc822; {to}\r\nAction: {action}\r\n")).await;
        assert!(notice.text.contains("Original-Envelope-Id: QQ314159\r\n"), "{}", notice.text);
        assert!(notice.text.contains(&format!("Original-Recipient: rfc822; {to}\r\n")), "{}", notice.text);
        assert!(notice.text.contains("Subject: three ways") && !notice.text.contains("The body."), "{}", notice.text);
        assert_eq!(notice.text.contains("Will-Retry-Until: "), action == "delayed", "{}", notice.text);
    }
    assert_eq!(hops.world.all_delivered().await.len(), 3);
}

const SMTPLIB: &str = r#"
import smtplib, sys
port, recipient, notify = int(sys.argv[1]), sys.argv[2], sys.argv[3]
with smtplib.SMTP("127.0.0.1", port) as server:
    server.ehlo()
    assert server.has_extn("dsn") and server.has_extn("smtputf8")
    server.sendmail(
        "zoë@example.mil", [recipient], "Subject: Grüße\r\n\r\nÄ\r\n".encode(),
        mail_options=["SMTPUTF8", "BODY=8BITMIME", "RET=FULL", "ENVID=QQ+2B1"],
        rcpt_options=["NOTIFY=" + notify, r"ORCPT=utf-8;j\x{F6}rg@old.example"],
    )
"#;

/// RFC 6533.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn international_mail_comes_back_as_such() {
    if !peers::has(&["smtp-sink", "python3"]) {
        return;
    }
    let hops = Hops::new().await;
    let port = hops.gateway.address("submission").port().to_string();
    for (to, notify) in [("nie@takes.example", "NEVER"), ("jörg@takes.example", "FAILURE")] {
        let said = run(command("python3").env("PYTHONIOENCODING", "utf-8").args(["-c", SMTPLIB, &port, to, notify]));
        assert!(said.success, "{}", said.text);
    }
    let notice =
        hops.world.delivered("Final-Recipient: utf-8; jörg@takes.example\r\nAction: failed\r\nStatus: 5.6.7").await;
    for expected in [
        "To: <zoë@example.mil>\r\n",
        "Content-Type: message/global-delivery-status\r\n",
        "Original-Envelope-Id: QQ+1\r\n",
        "Original-Recipient: utf-8; jörg@old.example\r\n",
        "Content-Type: message/global\r\n",
        "Subject: Grüße\r\n",
        "\r\n\r\nÄ\r\n",
    ] {
        assert!(notice.text.contains(expected), "{expected}\n{}", notice.text);
    }
    assert_eq!(hops.world.all_delivered().await.len(), 1, "of the other one nobody is told");
}
