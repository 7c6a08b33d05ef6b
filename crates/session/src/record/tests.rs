use auth::{AllowanceFact, Mechanism, PasswordFact, PresentedCertificate, Principal, QueryFact, WrongPassword};
use pki::{PathError, Revocation, RevocationReason, UnknownStatus};
use policy::HostName;
use proptest::prelude::*;

use super::*;

/// Text as a client, a directory or a certificate may have it: quotation marks, line ends, other scripts.
fn text() -> BoxedStrategy<String> {
    prop_oneof!["[ -~]{0,20}", "\\PC{0,12}", Just("\"\\\r\n\u{0}\u{1b}".to_owned())].boxed()
}

fn time() -> impl Strategy<Value = Time> {
    (-60_000_000_000_i64..253_402_300_799).prop_map(Time::from_unix)
}

fn principal() -> BoxedStrategy<Principal> {
    let mailbox = prop_oneof![Just("alice@example.mil"), Just("\"a b\\\"c\"@example.mil"), Just("älice@[192.0.2.1]")];
    let addresses = proptest::collection::vec(mailbox.prop_map(|text| text.parse().unwrap()), 0..3);
    let send_as = prop_oneof![
        Just(vec![]),
        Just(vec!["support@example.mil".parse().unwrap(), ".lists.example.mil".parse().unwrap()])
    ];
    let principal = |(user_id, addresses, send_as)| Principal { user_id, addresses, send_as };
    (text(), addresses, send_as).prop_map(principal).boxed()
}

fn path() -> BoxedStrategy<Result<(), PathError>> {
    prop_oneof![
        Just(Ok(())),
        Just(Err(PathError::Empty)),
        Just(Err(PathError::TooComplex)),
        (text(), time()).prop_map(|(certificate, not_after)| Err(PathError::Expired { certificate, not_after })),
        (text(), time()).prop_map(|(certificate, not_before)| Err(PathError::NotYetValid { certificate, not_before })),
        (text(), text()).prop_map(|(certificate, issuer)| Err(PathError::UnknownIssuer { certificate, issuer })),
        (text(), text()).prop_map(|(certificate, why)| Err(PathError::NotACa { certificate, why })),
        text().prop_map(|certificate| {
            Err(PathError::CriticalExtension { certificate, oid: "2.16.840.1.101.2.1.11.42".parse().unwrap() })
        }),
        text().prop_map(|certificate| {
            Err(PathError::WrongKeyUsage { certificate, needed: pki::KeyUsage::DIGITAL_SIGNATURE })
        }),
    ]
    .boxed()
}

fn revocation() -> BoxedStrategy<Revocation> {
    prop_oneof![
        Just(Revocation::NotChecked),
        (text(), time(), proptest::option::of(time()))
            .prop_map(|(source, this_update, next_update)| { Revocation::Good { source, this_update, next_update } }),
        (text(), time()).prop_map(|(certificate, at)| {
            Revocation::Revoked { certificate, reason: RevocationReason::CertificateHold, at }
        }),
        text().prop_map(|certificate| Revocation::Unknown(UnknownStatus::NoCrl { certificate })),
        (text(), text())
            .prop_map(|(certificate, why)| Revocation::Unknown(UnknownStatus::NoAnswer { certificate, why })),
    ]
    .boxed()
}

fn query() -> BoxedStrategy<QueryFact> {
    prop_oneof![
        Just(QueryFact::NotAsked),
        Just(QueryFact::Several),
        principal().prop_map(QueryFact::One),
        text().prop_map(QueryFact::Nobody),
        text().prop_map(QueryFact::Unavailable),
    ]
    .boxed()
}

fn certificate() -> BoxedStrategy<CertificateFact> {
    let presented =
        (text(), text(), path(), revocation(), query()).prop_map(|(subject, serial, path, revocation, query)| {
            let issuer = subject.clone();
            CertificateFact::Presented(Box::new(PresentedCertificate {
                subject,
                issuer,
                serial,
                path,
                revocation,
                query,
            }))
        });
    prop_oneof![Just(CertificateFact::NotRequested), Just(CertificateFact::NotPresented), presented].boxed()
}

fn attempt() -> BoxedStrategy<Attempt> {
    let password = prop_oneof![
        principal().prop_map(PasswordFact::Right),
        Just(PasswordFact::Wrong(WrongPassword::SeveralUsers)),
        Just(PasswordFact::AccountDisabled),
        text().prop_map(PasswordFact::TokenRefused),
        text().prop_map(PasswordFact::Unavailable),
    ];
    let allowance = prop_oneof![
        Just(AllowanceFact::NotAsked),
        Just(AllowanceFact::Allowed),
        Just(AllowanceFact::NotAllowed),
        text().prop_map(AllowanceFact::Unavailable),
    ];
    let mechanism = prop_oneof![Just(Mechanism::Plain), Just(Mechanism::ScramSha256Plus), Just(Mechanism::OauthBearer)];
    prop_oneof![
        Just(Attempt::None),
        text().prop_map(|authorization_identity| Attempt::External { authorization_identity }),
        (mechanism, text(), password, allowance).prop_map(|(mechanism, user, password, allowance)| {
            Attempt::Password { mechanism, user, password, allowance }
        }),
    ]
    .boxed()
}

fn event() -> BoxedStrategy<Event> {
    let exchange = prop_oneof![Just(Exchange::Refused), Just(Exchange::Broken), attempt().prop_map(Exchange::Ended)];
    let counts = (any::<Option<u32>>(), any::<Option<u32>>(), any::<u32>())
        .prop_map(|(of_client, of_identity, unknown)| Counts { of_client, of_identity, unknown });
    let directory = prop_oneof![
        Just(DirectoryFact::NotAsked),
        Just(DirectoryFact::Known),
        Just(DirectoryFact::Unknown),
        text().prop_map(DirectoryFact::Unavailable),
    ];
    let lines = || proptest::collection::vec(text(), 0..3);
    prop_oneof![
        text().prop_map(|reply| Event::Greeting { reply }),
        (text(), text(), any::<bool>()).prop_map(|(version, cipher, implicit)| tls(version, cipher, implicit)),
        (certificate(), proptest::option::of(text()), lines(), lines()).prop_map(|(fact, refused, steps, chain)| {
            Event::Certificate(Box::new(Examined { fact, refused, steps, chain }))
        }),
        (text(), exchange, text()).prop_map(|(mechanism, exchange, reply)| Event::Auth { mechanism, exchange, reply }),
        attempt().prop_map(Event::Standing),
        (text(), any::<Option<u64>>(), text()).prop_map(|(sender, size, reply)| Event::Mail { sender, size, reply }),
        (text(), counts, directory, text()).prop_map(|(recipient, counts, directory, reply)| Event::Rcpt {
            recipient,
            counts,
            directory,
            reply
        }),
        (any::<u64>(), proptest::option::of((text(), any::<bool>(), any::<bool>())), any::<bool>(), text()).prop_map(
            |(size, kept, author_refused, reply)| {
                let originators = kept.map(|(fields, control, signed)| OriginatorFields { fields, control, signed });
                Event::Message { size, originators, author_refused, reply }
            }
        ),
    ]
    .boxed()
}

fn tls(version: String, cipher: String, implicit: bool) -> Event {
    Event::Tls(TlsFact { version: version.into(), cipher: cipher.into(), implicit, channel_binding: !implicit })
}

fn naming() -> BoxedStrategy<Naming> {
    let names = Just(vec![HostName::parse("mail.example.mil").unwrap(), HostName::parse("a.example").unwrap()]);
    prop_oneof![Just(Naming::NotAsked), names.prop_map(Naming::Confirmed), text().prop_map(Naming::Unconfirmed)].boxed()
}

fn record() -> BoxedStrategy<Record> {
    let client = any::<[u8; 4]>().prop_map(IpAddr::from);
    let basis = (text(), text()).prop_map(|(trust, owners)| Basis {
        trust,
        owners,
        passwords: String::new(),
        recipients: "01234567".to_owned(),
    });
    let events = proptest::collection::vec(event(), 0..8);
    (any::<u64>(), time(), text(), client, naming(), basis, events, any::<u32>())
        .prop_map(|(id, at, listener, client, naming, basis, events, omitted)| Record {
            v: VERSION,
            id: SessionId(id),
            at,
            policy: listener.clone(),
            group: String::new(),
            end: listener.clone(),
            listener,
            client,
            naming,
            basis,
            events,
            omitted,
        })
        .boxed()
}

proptest! {
    /// Facts become a line of the log, and the line the same facts.
    #[test]
    fn what_is_written_is_read_again(record in record()) {
        let line = record.clone().to_json();
        prop_assert!(!line.contains(['\n', '\r']));
        prop_assert_eq!(Record::from_json(&line).unwrap(), record);
    }

    /// Whatever stands there: an error, never a panic.
    #[test]
    fn anything_can_be_read(text in "\\PC{0,80}") {
        let _ = Record::from_json(&text);
    }
}

fn empty() -> Record {
    let client = IpAddr::from([192, 0, 2, 7]);
    Record::begin(SessionId::next(), "submission", client, Naming::NotAsked, Basis::default())
}

#[test]
fn ids_are_unique_sort_as_they_were_given_and_read_back() {
    let ids: Vec<String> = (0..10_000).map(|_| SessionId::next().to_string()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    for id in [&ids[0], &SessionId(u64::MAX).to_string(), &SessionId(0).to_string()] {
        assert_eq!(id.parse::<SessionId>().unwrap().to_string(), **id);
    }
    for text in ["", "0644c6f0a3b1", "0644c6f0a3b1g", "0644c6f0a3b1e0000", "+644c6f0a3b1e"] {
        assert_eq!(text.parse::<SessionId>(), Err(NotASessionId), "{text:?}");
    }
}

#[test]
fn a_line_is_bounded_and_the_first_events_are_kept() {
    let mut recorder = Recorder::new(KeptFacts::Decisions, empty);
    for number in 0..1000_u32 {
        recorder.add(|| Event::Rcpt {
            recipient: format!("<{}@example.net>", "x".repeat(200)),
            counts: Counts { unknown: number, ..Counts::default() },
            directory: DirectoryFact::NotAsked,
            reply: "250 2.1.5 Recipient ok".repeat(10),
        });
    }
    let line = recorder.finish(&"QUIT").unwrap();
    assert!(line.len() <= MAX_RECORD, "{}", line.len());
    let record = Record::from_json(&line).unwrap();
    assert_eq!(record.events.len() + record.omitted as usize, 1000);
    assert!(record.events.len() > 10, "{}", record.events.len());
    assert!(matches!(&record.events[0], Event::Rcpt { counts, .. } if counts.unknown == 0));
    assert_eq!(record.end, "QUIT");
}

#[test]
fn a_password_in_a_mechanisms_place_is_not_kept() {
    for (line, kept) in [("AUTH HUNTER2", "(unknown)"), ("auth login", "LOGIN"), ("AUTH EXTERNAL =", "EXTERNAL")] {
        let Ok(protocol::Command::Auth(auth)) = protocol::Command::parse(line.as_bytes()) else { panic!("{line}") };
        let event = Event::auth(&auth, Exchange::Refused, &Reply::new(504, None, "no"));
        assert!(matches!(&event, Event::Auth { mechanism, .. } if mechanism == kept), "{event:?}");
    }
}

#[test]
fn nothing_is_kept_where_nothing_is_to_be_kept() {
    let mut recorder = Recorder::new(KeptFacts::None, || panic!("a record is made"));
    recorder.add(|| panic!("an event is made"));
    assert!(!recorder.is_full());
    assert_eq!(recorder.finish(&"QUIT"), None);
}

#[test]
fn later_versions_are_told_and_later_fields_passed_over() {
    let line = empty().to_json();
    assert!(matches!(Record::from_json(&line.replace("\"v\":1", "\"v\":2")), Err(RecordError::Version(2))));
    assert!(matches!(Record::from_json("{\"v\":9,\"what\":[]}"), Err(RecordError::Version(9))));
    assert!(matches!(Record::from_json("{}"), Err(RecordError::Form(_))));
    Record::from_json(&line.replace("\"v\":1", "\"v\":1,\"new\":{\"a\":1}")).unwrap();
    let shown = "{\"v\":1,\"id\":\"0644c6f0a3b1e\",\"at\":\"2026-11-24T08:00:00Z\",\"listener\":\"submission\",\
                 \"client\":\"192.0.2.7\",\"group\":\"g\",\"policy\":\"p\",\"events\":[{\"greeting\":{\"reply\":\"220 x\"}}]}";
    assert_eq!(Record::from_json(shown).unwrap().events, [Event::Greeting { reply: "220 x".to_owned() }]);
}
