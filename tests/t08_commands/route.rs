//! `postern route`: where mail would go, by a DNS of the test's own.

use super::{neutral, postern};
use crate::harness::dns::Dns;
use crate::harness::golden;
use crate::harness::peers::has;
use crate::harness::world::World;

const RECORDS: [&str; 7] = [
    "--mx-host=example.mil,mx1.example.mil,10",
    "--mx-host=example.mil,mx2.example.mil,20",
    "--host-record=mx1.example.mil,192.0.2.1,2001:db8::1",
    "--host-record=mx2.example.mil,192.0.2.2",
    "--host-record=bulk.example.mil,192.0.2.25",
    "--host-record=own.mil,192.0.2.3",
    "--mx-host=gone.mil,mx.gone.mil,10",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn route() {
    if !has(&["dnsmasq", "setpriv"]) {
        return;
    }
    let dns = Dns::start(&RECORDS);
    let world = World::new().await;
    let folder = world.dir().canonicalize().unwrap();
    let configuration = include_str!("route/postern.toml").replace("DNS", &dns.address.to_string());
    world.write("route.toml", configuration.replace("DIR", folder.to_str().unwrap()));
    std::fs::create_dir_all(folder.join("mail/bob")).unwrap();
    let questions: [&[&str]; 15] = [
        &["bob+lists@home.mil"],
        &["nobody@home.mil"],
        &["nobody@home.mil", "--json"],
        &["\"../bob\"@home.mil"],
        &["bob@example.mil"],
        &["bob@example.mil", "--json"],
        &["bob@store.mil"],
        &["bob@store.mil", "--listener", "submission", "--policy", "open"],
        &["bob@example.com", "--sender", "weekly@news.example.mil", "--identity", "newsletter"],
        &["bob@own.mil"],
        &["bob@gone.mil"],
        &["bob@nowhere.mil", "--json"],
        &["bob@[192.0.2.9]"],
        &["bob@example.mil", "--listener", "submision"],
        &["bob"],
    ];
    let mut transcript = String::new();
    for question in questions {
        let said = postern(&world, &[&["route", "--config", "route.toml"], question].concat());
        let exit = if said.success { "well" } else { "ill" };
        transcript.push_str(&format!(
            "$ postern route {}\n{}exit {exit}\n\n",
            question.join(" "),
            neutral(&world, &said.text)
        ));
    }
    assert_eq!(golden::differs("t08_commands/route/expected", &transcript), None);
}
