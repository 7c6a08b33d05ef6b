//! What the examples share: a spool, and messages for it.

use std::path::Path;
use std::time::Duration;

use auth::{Attempt, CertificateFact, Facts, ProfileRules, Transport};
use delivery::Origin;
use policy::{MailFlowPolicy, Permit, PolicySettings};
use postern_spool::{Settings, Spool};
use protocol::header::HeaderSection;
use protocol::{Body, Domain, Envelope, Mailbox, Recipient, ReversePath};

/// The permit of a client whom the policy lets in without a name.
pub(crate) fn permit() -> Permit {
    let settings = "access = 'relay'\ntls = 'off'\nsmtp_auth = 'off'\nsender = 'any'";
    let settings: PolicySettings = toml::from_str(settings).expect("a policy");
    let policy = MailFlowPolicy::new("bench", &settings, |_, problem| panic!("{problem}"));
    let profile = ProfileRules { certificate: None, password: None, recheck_after: Duration::from_secs(300) };
    let facts =
        Facts { transport: Transport::Plain, certificate: CertificateFact::NotRequested, attempt: Attempt::None };
    let clearance = policy::judge(&facts, &policy, &profile).mail.expect("anybody may send");
    clearance.permit(ReversePath::Null).expect("from nobody")
}

pub(crate) fn envelope() -> Envelope {
    let mailbox = |text: &str| Mailbox::parse(text).unwrap();
    Envelope {
        reverse_path: ReversePath::Mailbox(mailbox("alice@example.org")),
        recipients: vec![Recipient { mailbox: mailbox("bob@example.net"), notify: None, original: None }],
        body: Body::SevenBit,
        smtputf8: false,
        require_tls: false,
        ret: None,
        envid: None,
    }
}

pub(crate) async fn open(folder: &Path) -> Spool {
    let hostname = Domain::parse("gateway.example.org").unwrap();
    let (spool, report) = Spool::open(&Settings::default(), folder, &hostname).await.unwrap();
    report.problems.iter().for_each(|problem| println!("PROBLEM: {problem}"));
    spool
}

pub(crate) async fn accept(spool: &Spool, permit: &Permit, text: &[u8]) {
    let mut transaction = spool.begin(permit, Origin::of(permit, "submission", "office", None), envelope());
    transaction.write(text).await.unwrap();
    transaction.commit(&permit.authorize(&HeaderSection::default()).expect("by nobody")).await.unwrap();
}
