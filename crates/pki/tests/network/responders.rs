//! `openssl ocsp` as responder, and answers that must count for nothing.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use postern_pki::{
    Certificate, CrlStore, FetchSettings, Fetcher, IssuerStore, Knowledge, NoStaple, OcspSettings, OcspStore,
    Revocation, RevocationMethod, RevocationReason, Time, TrustSettings, UnknownStatus, Verifier, staple,
};

use crate::common::{CA, CLIENT, Pki, openssl_is_there, wait};
use crate::peers::{Peer, closed_port, is_there, requests, until};

const RESPONDER: &str = "basicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature\n\
                         extendedKeyUsage=OCSPSigning\nauthorityKeyIdentifier=keyid";

/// A root, a client with serial 1234, and `index.txt` that says what of it.
fn pki(line: &str) -> (Pki, Certificate) {
    let pki = Pki::new();
    pki.root("root");
    let client = pki.client("client", "root");
    say(&pki, line);
    (pki, client)
}

const GOOD: &str = "V\t351231235959Z\t\t1234\tunknown\t/CN=client\n";
const REVOKED: &str = "R\t351231235959Z\t240102030405Z,keyCompromise\t1234\tunknown\t/CN=client\n";

fn say(pki: &Pki, line: &str) {
    std::fs::write(pki.path("index.txt"), line).unwrap();
}

/// A certificate for answering, issued by `issuer`.
fn delegate(pki: &Pki, name: &str, issuer: &str, extensions: &str) {
    pki.key(name, "P-256");
    pki.certify(name, issuer, &format!("/CN={name}"), Some(extensions), &["-set_serial", "99"]);
}

fn ocsp_only(settings: &mut TrustSettings) {
    settings.revocation = vec![RevocationMethod::Ocsp];
}

struct Asking {
    verifier: Verifier,
    ocsp: OcspStore,
}

/// Asks this responder, for everything.
fn asking(pki: &Pki, url: &str, more: &str) -> Asking {
    asking_by(pki, &format!("{more}\n[[responder]]\nurl = '{url}'"), "", CrlStore::empty(), ocsp_only)
}

fn asking_by(pki: &Pki, ocsp: &str, fetch: &str, crls: CrlStore, change: impl FnOnce(&mut TrustSettings)) -> Asking {
    let trust = pki.trust_by("root", change);
    let fetcher = Fetcher::new(&toml::from_str::<FetchSettings>(fetch).unwrap()).unwrap();
    let settings: OcspSettings = toml::from_str(ocsp).unwrap_or_else(|error| panic!("{error}"));
    let ocsp = OcspStore::new(&settings, fetcher.clone());
    let knowledge = Knowledge::new(crls, ocsp.clone(), IssuerStore::new(fetcher));
    Asking { verifier: Verifier::new(Arc::new(trust), knowledge, Duration::from_secs(8)), ocsp }
}

impl Asking {
    async fn revocation(&self, client: &Certificate) -> Revocation {
        self.verifier.verify(&[client], Time::now()).await.revocation.clone()
    }

    async fn why_unknown(&self, client: &Certificate) -> String {
        match self.revocation(client).await {
            Revocation::Unknown(why) => why.to_string(),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn good_revoked_unknown_and_back() {
    if !openssl_is_there() {
        return;
    }
    let (pki, client) = pki(GOOD);
    for more in ["", "nonce = false", "require_nonce = true", "hash = 'SHA-256'", "hash = 'SHA-256'\nnonce = false"] {
        say(&pki, GOOD);
        let responder = Peer::responder(&pki, "root", "root", &["-nmin", "5"]);
        let asking = asking(&pki, &responder.http(""), more);
        wait(async {
            let Revocation::Good { source, next_update, .. } = asking.revocation(&client).await else {
                panic!("{more}")
            };
            assert!(source.starts_with("OCSP http://127.0.0.1:"), "{source}");
            assert!(next_update.is_some());
        });
        let generation = asking.verifier.generation();
        say(&pki, REVOKED);
        drop(responder);
        wait(async {
            // The answer holds until its nextUpdate, whatever becomes of the responder.
            assert!(matches!(asking.revocation(&client).await, Revocation::Good { .. }));
            assert_eq!((asking.ocsp.answers(), asking.verifier.generation()), (1, generation));
        });
    }
    let responder = Peer::responder(&pki, "root", "root", &["-nmin", "5"]);
    let asking = asking(&pki, &responder.http(""), "");
    wait(async {
        let revoked = asking.revocation(&client).await;
        let Revocation::Revoked { reason, at, .. } = revoked else { panic!("{revoked}") };
        assert_eq!((reason, at.to_string().as_str()), (RevocationReason::KeyCompromise, "2024-01-02T03:04:05Z"));
    });
    say(&pki, "");
    let responder = Peer::responder(&pki, "root", "root", &["-nmin", "5"]);
    let asking = self::asking(&pki, &responder.http(""), "");
    wait(async {
        let why = asking.why_unknown(&client).await;
        assert!(why.contains("does not know the certificate"), "{why}");
    });
}

#[test]
fn from_good_to_revoked_when_asked_again() {
    if !openssl_is_there() {
        return;
    }
    let (pki, client) = pki(GOOD);
    // Without nextUpdate, so that the answer lasts for max_age.
    let first = Peer::responder(&pki, "root", "root", &[]);
    let url = first.http("");
    let asking = asking(&pki, &url, "max_age = '3s'\nclock_skew = '0s'");
    wait(async {
        let verdict = asking.verifier.verify(&[&client], Time::now()).await;
        assert!(matches!(verdict.revocation, Revocation::Good { next_update: None, .. }), "{verdict:?}");
        let generation = asking.verifier.generation();
        // A session holds its answer until here, and asks again at its next MAIL.
        assert!(verdict.valid_until <= Time::now().plus(Duration::from_secs(3)));
        say(&pki, REVOKED);
        drop(first);
        let port = url.rsplit(':').next().unwrap().trim_end_matches('/').to_owned();
        let _second = Peer::responder(&pki, "root", "root", &["-port", &port]);
        until("the answer has ended", || Time::now() >= verdict.valid_until).await;
        let revoked = asking.revocation(&client).await;
        assert!(matches!(revoked, Revocation::Revoked { .. }), "{revoked}");
        assert_ne!(asking.verifier.generation(), generation, "all that rests on the old answer is void");
    });
}

#[test]
fn who_may_answer() {
    if !openssl_is_there() {
        return;
    }
    let (pki, client) = pki(GOOD);
    pki.root("other");
    pki.key("sub", "P-256");
    pki.certify("sub", "root", "/CN=sub", Some(CA), &[]);
    // The CA's name, another key.
    pki.key("imposter", "P-256");
    pki.certify("imposter", "imposter", "/C=US/O=Test/CN=root", Some(CA), &[]);
    let nocheck = format!("{RESPONDER}\nnoCheck=ignored");
    delegate(&pki, "delegated", "root", &nocheck);
    delegate(&pki, "unchecked", "root", RESPONDER);
    delegate(&pki, "no-purpose", "root", &nocheck.replace("OCSPSigning", "clientAuth"));
    delegate(&pki, "any-purpose", "root", &nocheck.replace("OCSPSigning", "anyExtendedKeyUsage"));
    delegate(&pki, "of-sub", "sub", &nocheck);
    delegate(&pki, "of-other", "other", &nocheck);
    delegate(&pki, "of-imposter", "imposter", &nocheck);
    pki.key("expired", "P-256");
    let past = ["-set_serial", "98", "-days", "-1"];
    pki.certify("expired", "root", "/CN=expired", Some(&nocheck), &past);
    let nobody = "signed by nobody who may sign for";
    let rows: [(&str, &[&str], &str); 12] = [
        ("root", &[], ""),
        ("root", &["-resp_key_id"], ""),
        ("delegated", &[], ""),
        ("delegated", &["-resp_key_id"], ""),
        ("delegated", &["-resp_no_certs"], nobody),
        ("unchecked", &[], "has no nocheck, and is unknown"),
        ("no-purpose", &[], nobody),
        ("any-purpose", &[], nobody),
        ("of-sub", &[], nobody),
        ("of-other", &[], nobody),
        ("of-imposter", &[], nobody),
        ("imposter", &[], nobody),
    ];
    for (signer, more, expected) in rows {
        let responder = Peer::responder(&pki, "root", signer, &[&["-nmin", "5"], more].concat());
        let asking = asking(&pki, &responder.http(""), "");
        match wait(asking.revocation(&client)) {
            Revocation::Good { .. } if expected.is_empty() => {}
            Revocation::Unknown(why) if !expected.is_empty() => {
                assert!(why.to_string().contains(expected), "{signer} {more:?}: {why}");
            }
            other => panic!("{signer} {more:?}: {other}"),
        }
    }
    let responder = Peer::responder(&pki, "root", "expired", &["-nmin", "5"]);
    assert!(wait(asking(&pki, &responder.http(""), "").why_unknown(&client)).contains(nobody));
}

#[test]
fn a_delegate_without_nocheck_is_looked_up_in_the_lists() {
    if !openssl_is_there() {
        return;
    }
    let (pki, client) = pki(GOOD);
    delegate(&pki, "unchecked", "root", RESPONDER);
    for (listed, expected) in [(&[] as &[&str], true), (&["63"], false)] {
        let list = pki.crl("a.crl", "root", listed, 1);
        let crls = CrlStore::of_lists("list", vec![list], [pki.certificate("root")]);
        say(&pki, GOOD);
        let responder = Peer::responder(&pki, "root", "unchecked", &["-nmin", "5"]);
        let settings = format!("[[responder]]\nurl = '{}'", responder.http(""));
        let asking = asking_by(&pki, &settings, "", crls, ocsp_only);
        let status = wait(asking.revocation(&client));
        assert_eq!(matches!(status, Revocation::Good { .. }), expected, "{status}");
        assert!(!matches!(status, Revocation::Revoked { .. }), "it is the responder that is revoked: {status}");
    }
}

#[test]
fn weak_signatures_count_for_nothing() {
    if !openssl_is_there() {
        return;
    }
    let pki = Pki::new();
    pki.key("root", "rsa:2048");
    pki.certify("root", "root", "/CN=root", Some(CA), &[]);
    let client = pki.client("client", "root");
    for (more, expected) in [(&["-rmd", "sha256"], true), (&["-rmd", "sha1"], false)] {
        say(&pki, GOOD);
        let responder = Peer::responder(&pki, "root", "root", &[&["-nmin", "5"], &more[..]].concat());
        let status = wait(asking(&pki, &responder.http(""), "").revocation(&client));
        assert_eq!(matches!(status, Revocation::Good { .. }), expected, "{more:?}: {status}");
    }
}

/// An answer of openssl in a file, as a responder would give it; its request had a nonce unless told otherwise.
fn recorded(pki: &Pki, file: &str, request: &[&str], more: &[&str]) -> Vec<u8> {
    let begin = ["ocsp", "-index", "index.txt", "-CA", "root.pem", "-rsigner", "root.pem", "-rkey", "root.key"];
    let files = ["-issuer", "root.pem", "-respout", file, "-noverify"];
    pki.openssl(&[&begin[..], &files[..], request, more].concat());
    std::fs::read(pki.path(file)).unwrap()
}

#[test]
fn old_foreign_repeated_and_broken_answers_count_for_nothing() {
    if !openssl_is_there() || !is_there("python3", &["--version"]) {
        return;
    }
    let (pki, client) = pki(GOOD);
    let www = tempfile::tempdir().unwrap();
    let web = Peer::web(www.path(), None);
    say(&pki, &format!("{GOOD}{}", GOOD.replace("1234", "4321").replace("client", "other")));
    let fresh = recorded(&pki, "fresh", &["-serial", "0x1234"], &["-no_nonce", "-nmin", "5"]);
    let repeated = recorded(&pki, "repeated", &["-serial", "0x1234"], &["-nmin", "5"]);
    let foreign = recorded(&pki, "foreign", &["-serial", "0x4321"], &["-no_nonce", "-nmin", "5"]);
    let endless = recorded(&pki, "endless", &["-serial", "0x1234"], &["-no_nonce"]);
    let mut forged = recorded(&pki, "forged", &["-serial", "0x1234"], &["-no_nonce", "-nmin", "5", "-resp_no_certs"]);
    // The last octet is of the signature.
    *forged.last_mut().unwrap() ^= 1;
    let status = |code: u8| vec![0x30, 3, 0x0a, 1, code];
    let rows: [(&str, Vec<u8>, &str, &str); 14] = [
        ("plain", fresh.clone(), "", ""),
        ("plain", fresh.clone(), "require_nonce = true", "has no nonce"),
        ("plain", repeated, "", "repeats another request's nonce"),
        ("plain", foreign, "", "about another certificate"),
        ("plain", endless, "max_age = '0s'\nclock_skew = '0s'", "was good until"),
        ("plain", forged, "", "signed by nobody"),
        ("plain", fresh[..fresh.len() / 2].to_vec(), "", "malformed"),
        ("plain", b"<html>".to_vec(), "", "malformed"),
        ("plain", status(3), "", "tryLater"),
        ("plain", status(6), "", "unauthorized"),
        ("plain", vec![0; 200_000], "", "larger than 131072"),
        ("truncated", fresh.clone(), "", "cut short"),
        ("500", fresh.clone(), "", "HTTP 500"),
        ("to", fresh.clone(), "", "is not followed"),
    ];
    for (manner, answer, more, expected) in rows {
        std::fs::write(www.path().join("answer"), &answer).unwrap();
        let asking = asking(&pki, &web.http(&format!("{manner}/answer")), more);
        wait(async {
            match asking.revocation(&client).await {
                Revocation::Good { .. } if expected.is_empty() => {}
                Revocation::Unknown(why) if !expected.is_empty() => {
                    assert!(why.to_string().contains(expected), "{manner} {more}: {why}");
                }
                other => panic!("{manner} {more} {expected}: {other}"),
            }
        });
    }
}

#[test]
fn short_requests_without_a_nonce_go_by_get() {
    if !openssl_is_there() || !is_there("python3", &["--version"]) {
        return;
    }
    let (pki, client) = pki(GOOD);
    let www = tempfile::tempdir().unwrap();
    let web = Peer::web(www.path(), None);
    std::fs::write(
        www.path().join("answer"),
        recorded(&pki, "a", &["-serial", "0x1234"], &["-no_nonce", "-nmin", "5"]),
    )
    .unwrap();
    for (url, more, expected) in [
        (web.http("etag/answer"), "nonce = false", "GET /etag/answer/ME"),
        (web.http("etag/answer"), "", "POST /etag/answer 200"),
        (web.http(&format!("etag/answer/{}", "x".repeat(200))), "nonce = false", "POST /etag/answer/xxx"),
    ] {
        let asking = asking(&pki, &url, more);
        let status = wait(asking.revocation(&client));
        assert!(matches!(status, Revocation::Good { .. }), "{status}");
        let last = requests(www.path()).pop().unwrap();
        assert!(last.starts_with(expected), "{last}");
    }
}

#[test]
fn a_dead_responder_is_left_alone_for_a_while() {
    if !openssl_is_there() {
        return;
    }
    let (pki, client) = pki(GOOD);
    let port = closed_port();
    let dead = asking(&pki, &format!("http://127.0.0.1:{port}/"), "");
    wait(async {
        let why = dead.why_unknown(&client).await;
        assert!(why.contains("can't connect"), "{why}");
        // It comes back, and is not asked before its time.
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        for _ in 0..10 {
            assert!(dead.why_unknown(&client).await.contains("not asked again before"));
        }
        assert!(listener.accept().is_err(), "nobody came");
    });
    // As soon as it may be, it is: the verdict says when that is.
    let until_then = wait(dead.verifier.verify(&[&client], Time::now())).valid_until;
    assert!(until_then <= Time::now().plus(Duration::from_secs(6)), "{until_then}");
}

#[test]
fn a_slow_responder_costs_its_timeout_once_for_all_who_wait() {
    if !openssl_is_there() {
        return;
    }
    let (pki, client) = pki(GOOD);
    // It takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let asking = Arc::new(asking(&pki, &url, "timeout = '1s'"));
    let began = Instant::now();
    let whys = wait(async {
        let all: Vec<_> = (0..20)
            .map(|_| {
                let (asking, client) = (Arc::clone(&asking), client.clone());
                tokio::spawn(async move { asking.why_unknown(&client).await })
            })
            .collect();
        let mut whys = Vec::new();
        for one in all {
            whys.push(one.await.unwrap());
        }
        whys
    });
    assert!(whys.iter().all(|why| why.contains("not done within 1s")), "{whys:?}");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    silent.set_nonblocking(true).unwrap();
    assert!(silent.accept().is_ok() && silent.accept().is_err(), "one question for twenty who waited");

    // Who waits no longer than this: the rest of the judgement goes on without an answer.
    let asking = self::asking(&pki, &url, "timeout = '30s'");
    let impatient = Verifier::new(
        Arc::new(asking.verifier.trust().clone()),
        Knowledge::new(CrlStore::empty(), asking.ocsp.clone(), IssuerStore::new(Fetcher::local())),
        Duration::from_millis(200),
    );
    let began = Instant::now();
    let verdict = wait(impatient.verify(&[&client], Time::now()));
    let unknown =
        matches!(&verdict.revocation, Revocation::Unknown(UnknownStatus::NoAnswer { why, .. }) if why.contains("yet"));
    assert!(unknown && began.elapsed() < Duration::from_secs(5), "{verdict:?}");
}

#[test]
fn lists_and_responders_in_the_order_of_the_trust() {
    if !openssl_is_there() {
        return;
    }
    use RevocationMethod::{Crl, Ocsp};
    let (pki, client) = pki(GOOD);
    let list = |serials: &[&str]| {
        let list = pki.crl("a.crl", "root", serials, 1);
        CrlStore::of_lists("list", vec![list], [pki.certificate("root")])
    };
    let (good_list, revoking_list, no_list) = (list(&[]), list(&["1234"]), CrlStore::empty());
    say(&pki, GOOD);
    let good = Peer::responder(&pki, "root", "root", &["-nmin", "5"]);
    let good_answer = good.http("");
    let nobody = format!("http://127.0.0.1:{}/", closed_port());
    // Lists, responder, order; what comes out, and from where.
    let rows = [
        (&revoking_list, &good_answer, vec![Ocsp, Crl], "good (OCSP"),
        (&revoking_list, &good_answer, vec![Crl, Ocsp], "revoked"),
        (&good_list, &good_answer, vec![Crl, Ocsp], "good (list"),
        (&good_list, &good_answer, vec![Ocsp, Crl], "good (OCSP"),
        (&no_list, &good_answer, vec![Crl, Ocsp], "good (OCSP"),
        (&good_list, &nobody, vec![Ocsp, Crl], "good (list"),
        (&revoking_list, &nobody, vec![Ocsp, Crl], "revoked"),
        (&no_list, &nobody, vec![Crl, Ocsp], "unknown: OCSP does not tell"),
        (&no_list, &nobody, vec![Ocsp, Crl], "unknown: OCSP does not tell"),
        (&no_list, &nobody, vec![Crl], "unknown: no CRL"),
    ];
    for (crls, url, order, expected) in rows {
        let settings = format!("[[responder]]\nurl = '{url}'");
        let shown = format!("{order:?}");
        let asking = asking_by(&pki, &settings, "", crls.clone(), |settings| settings.revocation = order);
        let status = wait(asking.revocation(&client)).to_string();
        assert!(status.contains(expected), "{shown} {expected}: {status}");
    }
}

#[test]
fn whom_to_ask() {
    if !openssl_is_there() {
        return;
    }
    let (pki, _) = pki(GOOD);
    let responder = Peer::responder(&pki, "root", "root", &["-nmin", "5"]);
    let url = responder.http("");
    let nobody = format!("http://127.0.0.1:{}/", closed_port());
    let named = |location: &str| {
        let extensions = format!("{CLIENT}\nauthorityInfoAccess=OCSP;URI:{location}");
        pki.key("named", "P-256");
        pki.certify("named", "root", "/CN=named", Some(&extensions), &[])
    };
    let (named_right, named_wrong) = (named(&url), named(&nobody));
    let allowed = "allowed_hosts = ['127.0.0.1']";
    let right = format!("[[responder]]\nurl = '{url}'");
    let wrong = format!("[[responder]]\nurl = '{nobody}'");
    let root = pki.certificate("root").subject().to_string();
    let rows = [
        (&named_right, String::new(), allowed, "good"),
        (&named_right, String::new(), "allowed_hosts = ['.example.mil']", "no OCSP responder may be asked"),
        (&named_right, String::new(), "", "no OCSP responder may be asked"),
        // What is configured counts before what is named, and needs no allowance.
        (&named_wrong, right.clone(), "", "good"),
        (&named_right, wrong.clone(), allowed, "can't connect"),
        (&named_wrong, format!("{right}\ntrust = 'test'"), "", "good"),
        (&named_right, format!("{wrong}\ntrust = 'other'"), allowed, "good"),
        (&named_wrong, format!("{right}\nissuer = '{root}'"), "", "good"),
        (&named_right, format!("{wrong}\nissuer = 'CN=other'"), allowed, "good"),
    ];
    for (client, settings, fetch, expected) in rows {
        let asking = asking_by(&pki, &settings, fetch, CrlStore::empty(), ocsp_only);
        let status = wait(asking.revocation(client)).to_string();
        assert!(status.contains(expected), "{settings} {fetch} {expected}: {status}");
    }
}

#[test]
fn the_servers_own_answer_to_hand_on() {
    if !openssl_is_there() {
        return;
    }
    let (pki, _) = pki(GOOD);
    let responder = Peer::responder(&pki, "root", "root", &["-nmin", "60"]);
    let root = pki.certificate("root");
    let named = |location: &str| {
        let extensions = format!("{CLIENT}\nauthorityInfoAccess=OCSP;URI:{location}");
        pki.key("server", "P-256");
        pki.certify("server", "root", "/CN=server", Some(&extensions), &[])
    };
    let server = named(&responder.http(""));
    let store = OcspStore::new(&OcspSettings::default(), Fetcher::local());
    let answer = wait(staple(&store, &[&server, &root])).unwrap();
    // openssl takes it for good.
    std::fs::write(pki.path("staple"), &answer.der).unwrap();
    let files = ["-respin", "staple", "-issuer", "root.pem", "-cert", "server.pem", "-CAfile", "root.pem"];
    let said = pki.openssl(&[&["ocsp", "-no_nonce"][..], &files[..]].concat());
    assert!(said.contains("server.pem: good"), "{said}");
    let (now, hour) = (Time::now(), Duration::from_secs(3600));
    assert!(now.plus(hour / 3) < answer.refresh_at && answer.refresh_at < now.plus(hour * 2 / 3), "{answer:?}");

    assert_eq!(wait(staple(&store, &[&server])).unwrap_err(), NoStaple::NoIssuer);
    assert_eq!(wait(staple(&store, &[&root])).unwrap_err(), NoStaple::NotOffered);
    let lonely = named(&format!("http://127.0.0.1:{}/", closed_port()));
    assert!(matches!(wait(staple(&store, &[&lonely, &root])).unwrap_err(), NoStaple::NoAnswer(_)));
    say(&pki, REVOKED);
    let responder = Peer::responder(&pki, "root", "root", &["-nmin", "60"]);
    let revoked = named(&responder.http(""));
    assert!(matches!(wait(staple(&store, &[&revoked, &root])).unwrap_err(), NoStaple::Revoked { .. }));
}
