//! OCSP answers with a lifetime: the one stapled to the server's certificate, and the one that a session rests on.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use demo::Template;
use demo::certificate::Extension;

use super::{REVOKED, Responder, by, hex, ready};
use crate::harness::World;
use crate::harness::peers::{command, has, run_with_input};
use crate::harness::until;

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// `authorityInfoAccess` with an OCSP responder (RFC 5280 section 4.2.2.1); every length is below 128.
fn ocsp_at(url: &str) -> Extension {
    let element = |tag: u8, content: &[u8]| [&[tag, u8::try_from(content.len()).unwrap()], content].concat();
    let method = element(6, &[0x2b, 6, 1, 5, 5, 7, 48, 1]);
    let access = element(0x30, &[method, element(0x86, url.as_bytes())].concat());
    Extension { oid: &[1, 3, 6, 1, 5, 5, 7, 1, 1], critical: false, value: element(0x30, &access) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_servers_certificate_is_stapled() {
    if !has(&["openssl"]) {
        return;
    }
    let world = World::new().await;
    world.issuing_key();
    let port = free_port();
    let extensions = vec![ocsp_at(&format!("http://127.0.0.1:{port}/"))];
    let server = world.issue("server", &Template { extensions, ..Template::server() });
    world.write("index.txt", format!("V\t491231235959Z\t\t{}\tunknown\t/CN=x\n", hex(&server).to_uppercase()));
    let _responder = Responder::start(&world, port);
    let gateway = world.start(&by("[\"crl\"]"));
    let address = gateway.address("submission").to_string();
    let handshake = |version: &str| {
        let mut openssl = command("openssl");
        openssl.args(["s_client", "-connect", &address, "-starttls", "smtp", "-status", version]);
        openssl.args(["-CAfile", "pki/ca.pem"]).current_dir(world.dir());
        run_with_input(&mut openssl, "QUIT\r\n").text
    };
    // Serving does not wait for it.
    let stapled = async || Some(handshake("-tls1_3")).filter(|said| said.contains("Cert Status: good"));
    until("a staple", stapled).await;
    let said = handshake("-tls1_2");
    assert!(said.contains("OCSP Response Status: successful") && said.contains("Cert Status: good"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_has_ended_is_asked_for_again_at_the_next_mail() {
    if !has(&["openssl"]) {
        return;
    }
    let world = World::new().await;
    let card = world.issue("alice", &crate::harness::world::card(demo::pki::ALICE));
    world.issuing_key();
    let say = |status: &str, when: &str| {
        let row = format!("{status}\t491231235959Z\t{when}\t{}\tunknown\t/CN=x\n", hex(&card).to_uppercase());
        world.write("index.txt", row);
    };
    say("V", "");
    let port = free_port();
    // The session's own recheck_after is five minutes; the answer's end comes first.
    let lifetime = Duration::from_secs(4);
    let settings = format!(
        "{}\n[ocsp]\nmax_age = \"4s\"\nclock_skew = \"0s\"\n[[ocsp.responder]]\nurl = \"http://127.0.0.1:{port}/\"\n",
        by("[\"ocsp\", \"crl\"]")
    );
    // Without nextUpdate, so that the answer lasts for max_age.
    let responder = Responder::start_as(&world, port, &[]);
    let gateway = world.start(&settings);
    let mut client = ready(&gateway, &world.tls(Some("alice"))).await.unwrap();
    let asked = Instant::now();
    assert_eq!(client.mail("alice@example.mil").await.unwrap().code(), 250);
    assert_eq!(client.command("RSET").await.unwrap().code(), 250);
    drop(responder);
    say("R", "260101000000Z,keyCompromise");
    let _responder = Responder::start_as(&world, port, &[]);
    until("the answer's end", async || (asked.elapsed() > lifetime + Duration::from_secs(1)).then_some(())).await;
    assert_eq!(client.mail("alice@example.mil").await.unwrap().to_string(), REVOKED);
}
