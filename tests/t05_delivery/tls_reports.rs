//! Reports about TLS: what an earlier gateway counted is reported by mail and by HTTPS, and what is of today waits.

use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::CONFIGURATION;
use crate::harness::dns::Dns;
use crate::harness::gateway::binary;
use crate::harness::peers::{self, command, run};
use crate::harness::{World, until};

/// Takes one POST after another, and writes down what came.
const RECEIVER: &str = r#"
import gzip, http.server, json, ssl, sys
class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
        with open(sys.argv[2], "a") as taken:
            taken.write(json.dumps([self.path, self.headers["Content-Type"], json.loads(body)]) + "\n")
        self.send_response(201)
        self.end_headers()
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1] + ".pem", sys.argv[1] + ".key")
server.socket = context.wrap_socket(server.socket, server_side=True)
open(sys.argv[3] + ".new", "w").write(str(server.server_port))
import os
os.rename(sys.argv[3] + ".new", sys.argv[3])
server.serve_forever()
"#;

struct Receiver(Child);

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn counted(domain: &str) -> Value {
    json!([{
        "policy": { "policy-type": "tlsa", "policy-string": ["3 1 1 abcd"], "policy-domain": format!("mx.{domain}") },
        "summary": { "total-successful-session-count": 7, "total-failure-session-count": 2 },
        "failure-details": [{
            "result-type": "certificate-not-trusted",
            "sending-mta-ip": "192.0.2.1",
            "receiving-mx-hostname": format!("mx.{domain}"),
            "receiving-ip": "192.0.2.2",
            "failed-session-count": 2,
        }],
    }])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_reports_go_out_by_mail_and_https() {
    if !peers::has(&["dnsmasq", "python3", "openssl"]) {
        return;
    }
    let world = World::new().await;
    let (taken, port) = (world.path("taken"), world.path("port"));
    let mut python = Command::new("python3");
    python.args(["-c", RECEIVER]).arg(world.path("pki/server")).args([&taken, &port]).stdin(Stdio::null());
    let _receiver = Receiver(python.spawn().unwrap());
    let port = until("a receiver", async || std::fs::read_to_string(&port).ok()).await;
    let dns = Dns::start(&[
        "--txt-record=_smtp._tls.mailed.mil,v=TLSRPTv1; rua=mailto:reports@collector.mil",
        &format!("--txt-record=_smtp._tls.posted.mil,v=TLSRPTv1; rua=https://localhost:{port}/v1/tlsrpt"),
        "--txt-record=_smtp._tls.now.mil,v=TLSRPTv1; rua=mailto:early@collector.mil",
    ]);
    let key = world.path("dkim.pem");
    let made = run(command("openssl").args(["genpkey", "-algorithm", "ed25519", "-out"]).arg(&key));
    assert!(made.success, "{}", made.text);
    let today = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 86_400;
    let domains = |names: &[&str]| -> Value {
        names.iter().map(|name| ((*name).to_owned(), counted(name))).collect::<serde_json::Map<_, _>>().into()
    };
    let mut days = serde_json::Map::new();
    days.insert((today - 2).to_string(), domains(&["mailed.mil", "posted.mil", "unasked.mil"]));
    days.insert(today.to_string(), domains(&["now.mil"]));
    std::fs::create_dir_all(world.path("state")).unwrap();
    world.write("state/tls-reports.json", Value::from(days).to_string());
    let rest = format!(
        "hosts = [\"127.0.0.1:2525\"]\ntls = \"none\"\ndkim = true\n\n\
         [tls_reports]\norganization = \"Example\"\nfrom = \"tls-reports@example.mil\"\n\n\
         [dkim.reports]\ndomains = [\"example.mil\"]\nselector = \"s\"\nkey = \"dkim.pem\"\n\n\
         [dns]\nservers = [\"{}\"]\n\n[fetch]\nca = [\"pki/ca.pem\"]\n",
        dns.address
    );
    let gateway = world.start(&(CONFIGURATION.to_owned() + &rest));

    let report = world.delivered("TLS-Report-Domain: mailed.mil").await;
    assert_eq!(report.field("TLS-Report-Submitter"), "example.mil");
    assert_eq!(report.field("TLS-Required"), "No");
    assert_eq!(report.field("From"), "<tls-reports@example.mil>");
    assert_eq!(report.field("To"), "<reports@collector.mil>");
    assert!(report.field("DKIM-Signature").contains("d=example.mil"));
    assert!(report.field("Content-Type").starts_with("multipart/report; report-type=\"tlsrpt\""));

    let posted = until("a report by HTTPS", async || std::fs::read_to_string(&taken).ok()).await;
    let posted: Value = serde_json::from_str(posted.trim()).unwrap();
    assert_eq!(posted[0], "/v1/tlsrpt");
    assert_eq!(posted[1], "application/tlsrpt+gzip");
    assert_eq!(posted[2]["organization-name"], "Example");
    assert_eq!(posted[2]["contact-info"], "tls-reports@example.mil");
    assert_eq!(posted[2]["policies"], counted("posted.mil"));

    // What is dealt with, or wanted by nobody, is gone; today goes on.
    let config = world.path("postern.toml");
    let ask = || run(command(binary().to_str().unwrap()).args(["tls-report", "--json", "--config"]).arg(&config)).text;
    let left = async || {
        let left: Value = serde_json::from_str(&ask()).ok()?;
        (left.as_object()?.len() == 1).then_some(left)
    };
    let left = until("reports dealt with", left).await;
    let day = left.as_object().unwrap().values().next().unwrap();
    assert_eq!(day, &domains(&["now.mil"]));
    gateway.stop();
    // Kept, and shown without a gateway.
    let kept: Value =
        serde_json::from_str(&std::fs::read_to_string(world.path("state/tls-reports.json")).unwrap()).unwrap();
    assert_eq!(kept, json!({ today.to_string(): domains(&["now.mil"]) }));
    let shown = run(command(binary().to_str().unwrap()).args(["tls-report", "--config"]).arg(&config));
    for text in ["now.mil", "tlsa", "2 certificate-not-trusted at mx.now.mil"] {
        assert!(shown.text.contains(text), "{text}: {}", shown.text);
    }
    let all = world.all_delivered().await;
    assert_eq!(all.len(), 1, "one report by mail");
}
