//! Command lines: what parses is written again and parses to the same, and so through the spool.

use postern_protocol::{Body, Command, Envelope, Mail, Rcpt, Recipient, ReversePath};

pub(crate) fn run(octets: &[u8]) {
    match Command::parse(octets) {
        Ok(Command::Mail(mail)) => {
            assert_eq!(Mail::parse(&mail.to_string()).as_ref(), Ok(&mail));
            spool(mail, Vec::new());
        }
        Ok(Command::Rcpt(rcpt)) => {
            assert_eq!(Rcpt::parse(&rcpt.to_string()).as_ref(), Ok(&rcpt));
            let mailbox = rcpt.forward_path.into_mailbox(&"mail.example.org".parse().unwrap());
            let recipient = Recipient { mailbox, notify: rcpt.notify, original: rcpt.original };
            spool(Mail::new(ReversePath::Null), vec![recipient]);
        }
        Ok(Command::Auth(auth)) => {
            let secret = auth.initial_response.as_ref().map_or("", |response| response.as_base64());
            // Shorter ones occur in the name of the type.
            assert!(secret.len() < 32 || !format!("{auth:?}").contains(secret));
        }
        Ok(_) => {}
        Err(error) => assert!(!error.to_string().contains(['\r', '\n', '\0'])),
    }
    // The record is the spool's own, but a damaged disk is outside too.
    if let Ok(envelope) = Envelope::decode(octets) {
        assert_eq!(Envelope::decode(&envelope.encode()), Ok(envelope));
    }
}

fn spool(mail: Mail, recipients: Vec<Recipient>) {
    let envelope = Envelope {
        reverse_path: mail.reverse_path,
        recipients,
        body: mail.body.unwrap_or(Body::SevenBit),
        smtputf8: mail.smtputf8,
        require_tls: mail.require_tls,
        ret: mail.ret,
        envid: mail.envid,
    };
    assert_eq!(Envelope::decode(&envelope.encode()), Ok(envelope));
}
