//! Whom mail may reach: the listener's own recipients, by table and directory; those who guess; those who relay.

use super::from;
use crate::harness::peers::{command, has, run};
use crate::harness::slapd::Slapd;
use crate::harness::{World, dialogues, golden};

const CONFIGURATION: &str = include_str!("recipients.toml");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_table_and_people_file() {
    let world = World::new().await;
    let gateway = world.start(CONFIGURATION);
    dialogues::play_all("t11_policy/recipients", &world, &gateway).await;
    let delivered = world.delivered("Subject: inbound\r\n").await;
    assert_eq!(delivered.fields("X-Envelope-To").len(), 6, "{}", delivered.text);
    for (recipient, reason) in [
        ("somebody@example.com", "not ours"),
        ("alice@lab.branch.example.mil", "not ours by lab.branch.example.mil"),
        ("erin@example.mil", "rejected by erin@example.mil"),
        ("aaron@example.mil", "unknown, and accepted if known, by example.mil"),
    ] {
        let line =
            gateway.wait_for_log(recipient, |line| line["message"] == "RCPT refused" && line["recipient"] == recipient);
        assert_eq!(line["reason"], reason, "{line}");
    }
    gateway.wait_for_log("the end of the harvest", |line| {
        line["message"] == "session" && line["end"] == "too many unknown recipients"
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_a_program_meets_it() {
    if !has(&["python3"]) {
        return;
    }
    let world = World::new().await;
    let gateway = world.start(CONFIGURATION);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/t11_policy/submit.py");
    let port = gateway.address("direct").port().to_string();
    let recipients = ["alice@example.mil", "nobody@example.mil", "somebody@example.net"];
    let said = run(command("python3").arg(script).arg(port).args(recipients));
    assert!(said.success, "{}", said.text);
    let told = "nobody@example.mil 550 5.1.1 Recipient unknown\nsomebody@example.net 550 5.7.1 Relaying denied\n";
    assert_eq!(said.text, told);
    let delivered = world.delivered("Subject: by smtplib\r\n").await;
    assert_eq!(delivered.fields("X-Envelope-To"), ["<alice@example.mil>"]);
}

const PEOPLE: &str = "dn: uid=zoe,ou=cards,dc=example,dc=test\nobjectClass: inetOrgPerson\nuid: zoe\ncn: Zoe\nsn: Zoe\n\
                      mail: zoe@example.mil\n\n";

/// Servers are asked, once; while they can't answer, nobody is told that somebody does not exist.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_directory_servers() {
    if !has(&["slapd", "slapadd", "setpriv"]) {
        return;
    }
    let world = World::new().await;
    let mut slapd = Slapd::start(&world, PEOPLE);
    let ldap = format!(
        "[directory.servers]\nkind = \"ldap\"\nservers = [\"{}\"]\nca = \"pki/directory-ca.pem\"\n\
         bind_dn = \"cn=gateway,ou=services,dc=example,dc=test\"\nbind_password_file = \"ldap.secret\"\n\
         base = \"ou=cards,dc=example,dc=test\"\n[directory.servers.recipient_query]\nfilter = \"(mail={{a}})\"\n\n\
         [authentication.password]",
        slapd.url()
    );
    let configuration = CONFIGURATION
        .replace("[authentication.password]", &ldap)
        .replace("directory = \"people\"\n\n[policy", "directory = \"servers\"\n\n[policy");
    let gateway = world.start(&configuration);
    let ask = async |recipient: &str, reply: &str| {
        let script = format!(
            "S: 220 *\nC: EHLO client.example.com\nR: 250\nC: MAIL FROM:<>\nS: 250 *\n\
             C: RCPT TO:<{recipient}>\nS: {reply}\nC: QUIT\nS: 221 *\nCLOSED\n"
        );
        from(&world, &gateway, "inbound", "192.0.2.1", &script).await;
    };
    ask("zoe@example.mil", "250 2.1.5 Recipient ok").await;
    ask("alice@example.mil", "550 5.1.1 Recipient unknown").await;
    ask("*@example.mil", "550 5.1.1 Recipient unknown").await;
    slapd.kill();
    ask("zoe@example.mil", "250 2.1.5 Recipient ok").await;
    ask("bob@example.mil", "451 4.4.3 Recipient cannot be verified now, try again later").await;
    ask("partner@example.com", "250 2.1.5 Recipient ok").await;
    let line = gateway.wait_for_log("the directory's silence", |line| {
        line["message"] == "RCPT refused" && line["recipient"] == "bob@example.mil"
    });
    assert!(line["reason"].as_str().unwrap().starts_with("directory unavailable: "), "{line}");
    slapd.run();
    crate::harness::until("the directory's return", async || {
        let script = "S: 220 *\nC: EHLO c.example.com\nR: 250\nC: MAIL FROM:<>\nS: 250 *\n\
                      C: RCPT TO:<bob@example.mil>\nS: 550 5.1.1 *\nC: QUIT\nS: 221 *\nCLOSED\n";
        let text = format!("#: listener inbound\nC-RAW: PROXY TCP4 192.0.2.9 192.0.2.25 40000 25\\r\\n\n{script}");
        dialogues::play(&text, &world, &gateway).await.ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explained() {
    let world = World::new().await;
    world.configure(CONFIGURATION);
    let transcript = super::explained(
        &world,
        "inbound",
        &[
            &["--client", "192.0.2.1", "--recipient", "alice@example.mil"][..],
            &["--client", "192.0.2.1", "--recipient", "nobody@example.mil"],
            &["--client", "192.0.2.1", "--recipient", "erin@example.mil"],
            &["--client", "192.0.2.1", "--recipient", "somebody@example.net"],
            &["--client", "192.0.2.1", "--user", "carol", "--recipient", "somebody@example.net"],
            &["--client", "192.0.2.1", "--recipient", "Postmaster"],
            &["--client", "10.9.0.1", "--sender", "printer@example.mil", "--recipient", "somebody@example.net"],
        ],
    );
    let differs = golden::differs("t11_policy/recipients.expected", &transcript);
    assert!(differs.is_none(), "{}", differs.unwrap());
}
