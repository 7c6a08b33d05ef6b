//! Directory servers that are killed, fall silent, or are not let in: mail goes on by the other server, or waits (454), and
//! goes on again without a restart. Nobody is refused for good, and nobody is let in who would not be otherwise.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use demo::{ClientTls, Credentials};

use super::how_tos::{Beds, greeted, send};
use super::people::password;
use crate::harness::server::Server;
use crate::harness::{Delivered, Gateway, PATIENCE, until};

/// A certificate, or a password for everybody who has none: two questions of different kinds.
const HOW_TO: &str = include_str!("../t03_authentication/how-to-3-certificate-or-smtp-auth/postern.toml");
const FROM: &str = "10.1.2.3";
const TEMPORARY: &str = "454 4.7.0 Temporary authentication failure";
/// As the recipe leaves it.
const TIMEOUT: Duration = Duration::from_secs(3);
/// For all that is no directory, on a busy machine.
const SLACK: Duration = Duration::from_secs(2);

pub(super) async fn all(beds: &mut Beds) {
    killed_under_load(beds).await;
    silent(beds).await;
    sessions_wait(beds).await;
    remembered_and_not(beds).await;
    wrong_ca(beds).await;
    wrong_password(beds).await;
}

/// The how-to with nothing remembered: each session asks.
fn configuration(beds: &Beds) -> String {
    let forgetful = "cache = { positive = \"0s\", negative = \"0s\" }\n[directory.people.certificate_query]";
    beds.how_to(HOW_TO).replace("[directory.people.certificate_query]", forgetful)
}

/// What a client does again and again.
#[derive(Debug, Clone, Copy)]
struct Habit {
    card: Option<&'static str>,
    login: Option<&'static str>,
    /// With the right password.
    right: bool,
    /// What comes of it while a directory server answers.
    outcome: &'static str,
}

const HABITS: [Habit; 6] = [
    habit(Some("anna"), None, true, "250 "),
    habit(Some("boris"), None, true, "250 "),
    habit(None, Some("chris"), true, "250 "),
    habit(None, Some("lena"), false, "535 5.7.8 "),
    habit(None, Some("gustav"), true, "535 5.7.8 "),
    habit(Some("nobody"), None, true, "554 5.7.1 Client certificate is valid, but belongs to no user here"),
];

const fn habit(card: Option<&'static str>, login: Option<&'static str>, right: bool, outcome: &'static str) -> Habit {
    Habit { card, login, right, outcome }
}

impl Habit {
    fn name(&self) -> &'static str {
        self.card.or(self.login).unwrap()
    }

    /// One session; the reply that decides. A refusal for now is met on a session that goes on.
    async fn follow(&self, gateway: SocketAddr, tls: &ClientTls, subject: &str) -> String {
        let mut client = match greeted(gateway, FROM, tls).await {
            Ok(client) => client,
            Err(refusal) => return refusal,
        };
        if let Some(user) = self.login {
            let password = if self.right { password(user) } else { "a guess".to_owned() };
            let reply = client.authenticate(Credentials::Plain(user, &password)).await.unwrap().unwrap();
            if reply.code() != 235 {
                assert_eq!(client.command("NOOP").await.unwrap().code(), 250, "the session is kept after {reply}");
                return reply.to_string();
            }
        }
        send(&mut client, &format!("{}@example.mil", self.name()), subject).await
    }
}

/// What came of all sessions so far.
#[derive(Debug, Default)]
struct Tally {
    sent: AtomicUsize,
    temporary: AtomicUsize,
    /// Who was to get 250, and 454 instead.
    accepted: Mutex<BTreeMap<String, &'static str>>,
    odd: Mutex<Vec<String>>,
    enough: AtomicBool,
}

impl Tally {
    fn add(&self, habit: &Habit, subject: String, reply: &str) {
        if reply.starts_with(habit.outcome) {
            if reply.starts_with("250 ") {
                self.accepted.lock().unwrap().insert(subject, habit.name());
                self.sent.fetch_add(1, Ordering::SeqCst);
            }
        } else if reply == TEMPORARY {
            self.temporary.fetch_add(1, Ordering::SeqCst);
        } else {
            self.odd.lock().unwrap().push(format!("{habit:?}: {reply}"));
        }
    }

    /// Waits for so many more.
    async fn more(&self, what: &str, count: &AtomicUsize, more: usize) {
        let goal = count.load(Ordering::SeqCst) + more;
        let began = Instant::now();
        while count.load(Ordering::SeqCst) < goal {
            assert!(began.elapsed() < PATIENCE, "waited in vain for {what}: {self:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Six clients, each with its habit, while one server dies, both are dead, and both are back.
async fn killed_under_load(beds: &mut Beds) {
    let gateway = beds.world.start(&configuration(beds));
    let address = gateway.address("submission");
    let tally = Arc::new(Tally::default());
    let clients: Vec<_> = HABITS
        .into_iter()
        .map(|habit| {
            let (tally, tls) = (Arc::clone(&tally), beds.world.tls(habit.card));
            tokio::spawn(async move {
                for turn in 0.. {
                    if tally.enough.load(Ordering::SeqCst) {
                        break;
                    }
                    let subject = format!("load {} {turn}", habit.name());
                    let reply = habit.follow(address, &tls, &subject).await;
                    tally.add(&habit, subject, &reply);
                }
            })
        })
        .collect();
    tally.more("mail while both servers are well", &tally.sent, 20).await;
    beds.servers[0].kill();
    tally.more("mail by the second server", &tally.sent, 30).await;
    // Each question is put to the second server within its time: nobody has noticed.
    assert_eq!(tally.temporary.load(Ordering::SeqCst), 0, "{:?}", tally.odd.lock().unwrap());
    beds.step("one server killed");

    beds.servers[1].kill();
    tally.more("temporary failures without any server", &tally.temporary, 20).await;
    let sent = tally.sent.load(Ordering::SeqCst);
    tally.more("temporary failures without any server", &tally.temporary, 20).await;
    assert_eq!(tally.sent.load(Ordering::SeqCst), sent, "who let them in?");
    beds.step("both servers killed");

    beds.servers[1].run();
    tally.more("mail by the second server, which is back", &tally.sent, 30).await;
    let answers = gateway.log_length();
    beds.servers[0].run();
    let first = beds.servers[0].info("LDAPS_URL");
    gateway.wait_for_log_after(answers, "the first server is back", |line| {
        line["message"] == "the directory server answers" && line["server"] == first
    });
    let temporary = tally.temporary.load(Ordering::SeqCst);
    tally.more("mail by both", &tally.sent, 20).await;
    assert_eq!(tally.temporary.load(Ordering::SeqCst), temporary);
    tally.enough.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(*tally.odd.lock().unwrap(), Vec::<String>::new());
    // All that was accepted is delivered, as who sent it.
    let accepted = std::mem::take(&mut *tally.accepted.lock().unwrap());
    let delivered = until("that all is delivered", async || {
        let all = beds.world.all_delivered().await;
        let told = |one: &Delivered| (one.field("Subject"), one.field("Authentication-Results"));
        let delivered: BTreeMap<String, String> = all.iter().map(told).collect();
        accepted.keys().all(|subject| delivered.contains_key(subject)).then_some(delivered)
    });
    let delivered = delivered.await;
    for (subject, user_id) in &accepted {
        assert_eq!(delivered[subject], format!("mail.example.mil; auth=pass smtp.auth={user_id}"), "{subject}");
    }
    beds.step(&format!("both back, {} messages sent", accepted.len()));
}

/// What comes of Anna's card and of Chris's password, and whether in time.
async fn both_ways(beds: &Beds, gateway: &Gateway, limit: Duration) -> [String; 2] {
    let habits = [&HABITS[0], &HABITS[2]];
    let mut replies = Vec::new();
    for habit in habits {
        let tls = beds.world.tls(habit.card);
        let began = Instant::now();
        replies.push(habit.follow(gateway.address("submission"), &tls, "both ways").await);
        assert!(began.elapsed() < limit, "{habit:?}: {:?}, {:?}", replies, began.elapsed());
    }
    replies.try_into().unwrap()
}

/// Both are sent; all that comes before are temporary failures.
async fn until_sent(beds: &Beds, gateway: &Gateway) {
    until("that mail is sent again", async || {
        let replies = both_ways(beds, gateway, 2 * TIMEOUT + SLACK).await;
        let right = |reply: &String| reply.starts_with("250 ") || reply == TEMPORARY;
        assert!(replies.iter().all(right), "{replies:?}");
        replies.iter().all(|reply| reply.starts_with("250 ")).then_some(())
    })
    .await;
}

/// Frozen: connections stay, and nothing comes back.
async fn silent(beds: &Beds) {
    let gateway = beds.world.start(&configuration(beds));
    until_sent(beds, &gateway).await;
    beds.servers[0].freeze();
    let replies = both_ways(beds, &gateway, TIMEOUT + SLACK).await;
    assert!(replies.iter().all(|reply| reply.starts_with("250 ")), "{replies:?}");
    // It is known now: nobody waits for it again.
    let replies = both_ways(beds, &gateway, SLACK).await;
    assert!(replies.iter().all(|reply| reply.starts_with("250 ")), "{replies:?}");
    beds.servers[1].freeze();
    assert_eq!(both_ways(beds, &gateway, TIMEOUT + SLACK).await, [TEMPORARY; 2]);
    beds.servers.iter().for_each(Server::thaw);
    until_sent(beds, &gateway).await;
    beds.step("silent, and back");
}

/// Sessions that a certificate or a password opened outlive the time without servers.
async fn sessions_wait(beds: &mut Beds) {
    let each_mail_asks = "recheck_after = \"0s\"\non_missing = ";
    let gateway = beds.world.start(&configuration(beds).replace("on_missing = ", each_mail_asks));
    let (card, nothing) = (beds.world.tls(Some("anna")), beds.world.tls(None));
    let address = gateway.address("submission");
    let mut anna = greeted(address, FROM, &card).await.unwrap();
    let mut chris = greeted(address, FROM, &nothing).await.unwrap();
    let reply = chris.authenticate(Credentials::Plain("chris", &password("chris"))).await.unwrap().unwrap();
    assert_eq!(reply.code(), 235, "{reply}");
    let mut both = async |subject: &str| {
        [send(&mut anna, "anna@example.mil", subject).await, send(&mut chris, "chris@example.mil", subject).await]
    };
    assert!(both("before").await.iter().all(|reply| reply.starts_with("250 ")));
    beds.servers.iter_mut().for_each(Server::kill);
    for _ in 0..2 {
        assert_eq!(both("meanwhile").await, [TEMPORARY; 2]);
    }
    beds.servers.iter_mut().for_each(Server::run);
    until_sent(beds, &gateway).await;
    let replies = both("after").await;
    assert!(replies.iter().all(|reply| reply.starts_with("250 ")), "{replies:?}");
    beds.step("sessions waited");
}

/// Whom a gateway remembers goes on to send by certificate, and by nothing else; another gateway starts without its
/// directory.
async fn remembered_and_not(beds: &mut Beds) {
    let gateway = beds.world.start(&beds.how_to(HOW_TO));
    until_sent(beds, &gateway).await;
    beds.servers.iter_mut().for_each(Server::kill);
    let [anna, chris] = both_ways(beds, &gateway, SLACK).await;
    assert!(anna.starts_with("250 ") && chris == TEMPORARY, "{anna}, {chris}");
    let boris = HABITS[1].follow(gateway.address("submission"), &beds.world.tls(Some("boris")), "never asked").await;
    assert_eq!(boris, TEMPORARY);
    drop(gateway);
    let gateway = beds.world.start(&configuration(beds));
    assert_eq!(both_ways(beds, &gateway, SLACK).await, [TEMPORARY; 2]);
    beds.servers.iter_mut().for_each(Server::run);
    until_sent(beds, &gateway).await;
    beds.step("remembered; and down at the start");
}

/// The file of the servers' authorities holds others.
async fn wrong_ca(beds: &Beds) {
    beds.world.write("ldap-ca.pem", beds.world.root.certificate_pem());
    let gateway = beds.world.start(&configuration(beds));
    assert_eq!(both_ways(beds, &gateway, SLACK).await, [TEMPORARY; 2]);
    gateway.wait_for_log("why", |line| {
        let why = line["why"].as_str().unwrap_or_default();
        line["message"] == "the directory server fails" && why.contains("TLS: invalid peer certificate")
    });
    beds.right_ca();
    let before = gateway.log_length();
    gateway.signal("HUP");
    gateway.wait_for_log_after(before, "reload", |line| line["message"] == "the new configuration is in use");
    until_sent(beds, &gateway).await;
    beds.step("wrong CA, and the right one");
}

/// The file with the gateway's own password holds another one; a session that waits goes on when it is mended.
async fn wrong_password(beds: &Beds) {
    beds.world.write("ldap.secret", "not it\n");
    let gateway = beds.world.start(&configuration(beds));
    let tls = beds.world.tls(Some("anna"));
    let mut client = greeted(gateway.address("submission"), FROM, &tls).await.unwrap();
    assert_eq!(send(&mut client, "anna@example.mil", "wrong secret").await, TEMPORARY);
    assert_eq!(both_ways(beds, &gateway, SLACK).await, [TEMPORARY; 2]);
    gateway.wait_for_log("why", |line| {
        let why = line["why"].as_str().unwrap_or_default();
        line["message"] == "the directory server fails" && why.contains("the gateway's own bind: invalidCredentials")
    });
    beds.right_secret();
    until_sent(beds, &gateway).await;
    // The session that waited goes on.
    until("the session that waited", async || {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let reply = send(&mut client, "anna@example.mil", "right secret").await;
        assert!(reply == TEMPORARY || reply.starts_with("250 "), "{reply}");
        reply.starts_with("250 ").then_some(())
    })
    .await;
    beds.step("wrong password of our own, and the right one");
}
