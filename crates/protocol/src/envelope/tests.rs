use proptest::option;
use proptest::prelude::*;

use super::*;

fn example() -> Envelope {
    Envelope {
        reverse_path: ReversePath::parse("<alice@example.org>").unwrap(),
        recipients: vec![
            Recipient { mailbox: Mailbox::parse("bob@example.net").unwrap(), notify: None, original: None },
            Recipient {
                mailbox: Mailbox::parse("\"c d\"@example.net").unwrap(),
                notify: Some(Notify { failure: true, ..Notify::NEVER }),
                original: Some("rfc822;carol@example.net".parse().unwrap()),
            },
        ],
        body: Body::EightBitMime,
        smtputf8: true,
        require_tls: false,
        ret: Some(Return::Headers),
        envid: Some("QQ314159".parse().unwrap()),
    }
}

const RECORD: &str = "postern-envelope 1\n\
    MAIL FROM:<alice@example.org> BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=QQ314159\n\
    RCPT TO:<bob@example.net>\n\
    RCPT TO:<\"c d\"@example.net> NOTIFY=FAILURE ORCPT=rfc822;carol@example.net\n\
    .\n";

#[test]
fn the_form_in_the_spool() {
    // A change here is a change of version: spools of older gateways must still be read.
    assert_eq!(String::from_utf8(example().encode()).unwrap(), RECORD);
    assert_eq!(Envelope::decode(RECORD.as_bytes()), Ok(example()));
}

#[test]
fn damaged_records() {
    let cases: [(&[u8], EnvelopeError); 9] = [
        (b"", EnvelopeError::Version),
        (b"\xff", EnvelopeError::Version),
        (b"postern-envelope 2\nMAIL FROM:<>\n.\n", EnvelopeError::Version),
        (b"postern-envelope 1", EnvelopeError::Truncated),
        (b"postern-envelope 1\nMAIL FROM:<>\n", EnvelopeError::Truncated),
        (b"postern-envelope 1\nMAIL FROM:<>\n.", EnvelopeError::Truncated),
        (b"postern-envelope 1\nRCPT TO:<a@b>\n.\n", EnvelopeError::Line(2)),
        (b"postern-envelope 1\nMAIL FROM:<>\nRCPT TO:<Postmaster>\n.\n", EnvelopeError::Line(3)),
        (b"postern-envelope 1\nMAIL FROM:<>\n.\nmore", EnvelopeError::Line(4)),
    ];
    for (record, error) in cases {
        assert_eq!(Envelope::decode(record), Err(error), "{}", String::from_utf8_lossy(record));
    }
    let bad_recipient = Envelope::decode(b"postern-envelope 1\nMAIL FROM:<>\nRCPT TO:<a@b> NOTIFY=X\n.\n");
    assert!(matches!(bad_recipient, Err(EnvelopeError::Argument(3, _))), "{bad_recipient:?}");
}

#[test]
fn every_cut_is_noticed() {
    for end in 0..RECORD.len() {
        assert!(Envelope::decode(&RECORD.as_bytes()[..end]).is_err(), "{end}");
    }
}

#[test]
fn recipients_are_bounded() {
    let many = format!("postern-envelope 1\nMAIL FROM:<>\n{}.\n", "RCPT TO:<a@b>\n".repeat(MAX_RECIPIENTS + 1));
    assert_eq!(Envelope::decode(many.as_bytes()), Err(EnvelopeError::TooManyRecipients));
}

fn mailbox() -> impl Strategy<Value = Mailbox> {
    "([a-z]{1,10}|\"[ -!#-\\[\\]-~ü]{0,20}\")@([a-z0-9]{1,8}\\.){0,3}[a-zü]{1,8}"
        .prop_map(|text| Mailbox::parse(&text).unwrap())
}

fn recipient() -> impl Strategy<Value = Recipient> {
    let notify = any::<(bool, bool, bool)>().prop_map(|(success, failure, delay)| Notify { success, failure, delay });
    (mailbox(), option::of(notify), any::<bool>()).prop_map(|(mailbox, notify, keep)| Recipient {
        original: keep.then(|| OriginalRecipient::of(&mailbox)),
        mailbox,
        notify,
    })
}

proptest! {
    #[test]
    fn round_trip(
        sender in option::of(mailbox()),
        recipients in proptest::collection::vec(recipient(), 0..8),
        eight_bit: bool,
        smtputf8: bool,
        require_tls: bool,
        ret in option::of(prop_oneof![Just(Return::Full), Just(Return::Headers)]),
        envid in option::of("[a-z]{1,100}".prop_map(|id| id.parse().unwrap())),
    ) {
        let envelope = Envelope {
            reverse_path: sender.map_or(ReversePath::Null, ReversePath::Mailbox),
            recipients,
            body: if eight_bit { Body::EightBitMime } else { Body::SevenBit },
            smtputf8,
            require_tls,
            ret,
            envid,
        };
        prop_assert_eq!(Envelope::decode(&envelope.encode()), Ok(envelope));
    }

    #[test]
    fn decode_never_panics(record: Vec<u8>, tail in "[\\PC\n]{0,80}") {
        let _ = Envelope::decode(&record);
        let _ = Envelope::decode(format!("postern-envelope 1\n{tail}").as_bytes());
    }
}
