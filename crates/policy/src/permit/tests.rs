use super::*;
use proptest::prelude::*;

fn identified(addresses: &[&str]) -> Identified {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Identified { principal: Principal { user_id: "alice".to_owned(), addresses }, mechanism: None }
}

fn policy(settings: &str) -> MailFlowPolicy {
    let settings = toml::from_str(&format!("access = \"relay\"\n{settings}")).unwrap();
    MailFlowPolicy::new("relayed", &settings, |_, problem| panic!("{problem}"))
}

fn clearance(identity: Option<Identified>, binding: SenderBinding) -> Clearance {
    let policy = MailFlowPolicy { sender: binding, ..policy("") };
    Clearance::new(identity, Reach::Anywhere, &policy, false)
}

fn permit(binding: SenderBinding, addresses: &[&str], sender: &str) -> Result<Permit, Refusal> {
    clearance(Some(identified(addresses)), binding).permit(ReversePath::parse(sender).unwrap())
}

#[test]
fn some_senders_need_tls() {
    let policy = policy("tls_required_for_senders = [\"@secret.example.mil\", \".s.example\", \"eve@example.mil\"]");
    for (sender, needs) in [
        ("<a@secret.example.mil>", true),
        ("<A@SECRET.EXAMPLE.MIL>", true),
        ("<a@x.secret.example.mil>", false),
        ("<a@x.s.example>", true),
        ("<Eve@example.mil>", true),
        ("<bob@example.mil>", false),
        ("<>", false),
    ] {
        let sender = ReversePath::parse(sender).unwrap();
        for plain in [true, false] {
            let clearance = Clearance::new(None, Reach::Anywhere, &policy, plain);
            let permit = clearance.permit(sender.clone());
            assert_eq!(permit.err(), (plain && needs).then_some(Refusal::TlsRequired), "{sender}, plain: {plain}");
        }
    }
}

#[test]
fn senders_are_bound_to_the_identity() {
    use SenderBinding::{Any, OwnAddress, OwnDomain};
    let alice = &["alice@example.mil", "a.smith@mail.example.mil"][..];
    let cases = [
        // binding, MAIL FROM, permitted
        (OwnAddress, "<alice@example.mil>", true),
        (OwnAddress, "<a.smith@mail.example.mil>", true),
        (OwnAddress, "<ALICE@EXAMPLE.MIL>", true),
        (OwnAddress, "<Alice@example.mil>", true), // RFC 5321 leaves the case of local parts to their domain: this one
        (OwnAddress, "<\"alice\"@example.mil>", true), // the same mailbox, quoted without need
        (OwnAddress, "<alice@mail.example.mil>", false),
        (OwnAddress, "<a.smith@example.mil>", false),
        (OwnAddress, "<bob@example.mil>", false),
        (OwnAddress, "<alice@example.mil.example.com>", false),
        (OwnAddress, "<alice+x@example.mil>", false),
        (OwnAddress, "<\"alice \"@example.mil>", false),
        (OwnAddress, "<\"alice@example.mil\"@example.com>", false),
        (OwnAddress, "<>", true),
        (OwnDomain, "<alice@example.mil>", true),
        (OwnDomain, "<anybody@example.mil>", true),
        (OwnDomain, "<anybody@EXAMPLE.mil>", true),
        (OwnDomain, "<anybody@mail.example.mil>", true),
        (OwnDomain, "<alice@other.example.mil>", false),
        (OwnDomain, "<alice@mil>", false),
        (OwnDomain, "<alice@notexample.mil>", false),
        (OwnDomain, "<alice@[192.0.2.1]>", false),
        (OwnDomain, "<\"alice@example.mil\"@example.com>", false),
        (OwnDomain, "<>", true),
        (Any, "<alice@example.mil>", true),
        (Any, "<president@example.com>", true),
        (Any, "<x@[192.0.2.1]>", true),
        (Any, "<>", true),
    ];
    for (binding, sender, permitted) in cases {
        let judged = permit(binding, alice, sender);
        assert_eq!(judged.is_ok(), permitted, "{binding:?} {sender}: {judged:?}");
        if let Ok(permit) = judged {
            assert_eq!(permit.sender(), &ReversePath::parse(sender).unwrap());
            assert_eq!(permit.identity(), Some(&identified(alice)));
        }
    }
}

#[test]
fn a_source_route_changes_no_sender() {
    // RFC 5321 appendix C: accepted and ignored.
    assert!(permit(SenderBinding::OwnAddress, &["alice@example.mil"], "<@relay.example:alice@example.mil>").is_ok());
    assert!(permit(SenderBinding::OwnAddress, &["alice@example.mil"], "<@example.mil:bob@example.mil>").is_err());
}

#[test]
fn a_refusal_names_at_most_three_addresses() {
    let many = ["1@example.mil", "2@example.mil", "3@example.mil", "4@example.mil"];
    for (own, named) in [(0, 0), (1, 1), (3, 3), (4, 3)] {
        let Err(Refusal::SenderNotOwn(addresses)) =
            permit(SenderBinding::OwnAddress, &many[..own], "<bob@example.com>")
        else {
            panic!("not refused by {own} addresses");
        };
        let expected: Vec<Mailbox> = many[..named].iter().map(|address| address.parse().unwrap()).collect();
        assert_eq!(addresses, expected);
    }
}

#[test]
fn without_addresses_only_the_null_sender_is_ones_own() {
    for binding in [SenderBinding::OwnAddress, SenderBinding::OwnDomain] {
        assert!(permit(binding, &[], "<alice@example.mil>").is_err());
        assert!(permit(binding, &[], "<>").is_ok());
    }
    assert_eq!(permit(SenderBinding::OwnDomain, &[], "<a@example.mil>"), Err(Refusal::SenderNotOwnDomain));
    assert!(permit(SenderBinding::Any, &[], "<alice@example.mil>").is_ok());
}

#[test]
fn clients_without_an_identity_are_not_bound() {
    for binding in [SenderBinding::OwnAddress, SenderBinding::OwnDomain, SenderBinding::Any] {
        for sender in ["<printer@example.mil>", "<>"] {
            let sender = ReversePath::parse(sender).unwrap();
            let permit = clearance(None, binding).permit(sender.clone()).unwrap();
            assert_eq!((permit.identity(), permit.sender()), (None, &sender));
        }
    }
}

proptest! {
    /// What a narrow binding permits, a wider one permits too; and a permit is always for the sender it was asked for.
    #[test]
    fn bindings_widen(own in "[ab]{1,2}@[xy]\\.mil", sender in "[abAB]{1,2}@[xyXY]\\.mil") {
        let sender = format!("<{sender}>");
        let [address, domain, any] = [SenderBinding::OwnAddress, SenderBinding::OwnDomain, SenderBinding::Any]
            .map(|binding| permit(binding, &[&own], &sender));
        prop_assert!(any.is_ok());
        prop_assert!(address.is_err() || domain.is_ok());
        let same = |part: usize| own.split('@').nth(part) == sender[1..sender.len() - 1].to_lowercase().split('@').nth(part);
        prop_assert_eq!(domain.is_ok(), same(1));
        prop_assert_eq!(address.is_ok(), same(0) && same(1));
    }
}
