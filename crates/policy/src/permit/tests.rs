use super::*;
use proptest::prelude::*;
use protocol::header::OriginatorError;

fn identified(addresses: &[&str]) -> Identified {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Identified { principal: Principal { user_id: "alice".to_owned(), addresses, send_as: Vec::new() }, mechanism: None }
}

fn policy(settings: &str) -> MailFlowPolicy {
    let settings = toml::from_str(&format!("access = \"relay\"\n{settings}")).unwrap();
    MailFlowPolicy::new("relayed", &settings, |_, problem| panic!("{problem}"))
}

fn clearance(identity: Option<Identified>, binding: SenderBinding) -> Clearance {
    let policy = policy("");
    let policy = MailFlowPolicy { senders: SenderRules { sender: binding, ..policy.senders }, ..policy };
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

/// A permit of Alice's under `settings`, from `sender`.
fn permit_under(settings: &str, addresses: &[&str], sender: &str) -> Result<Permit, Refusal> {
    let clearance = Clearance::new(Some(identified(addresses)), Reach::Anywhere, &policy(settings), false);
    clearance.permit(ReversePath::parse(sender).unwrap())
}

const ALICE: &[&str] = &["alice@example.mil", "a.smith@mail.example.mil"];

#[test]
fn null_senders_by_setting() {
    for (settings, identity, permitted) in [
        ("", true, true),
        ("", false, true),
        ("null_sender = \"allow\"", true, true),
        ("null_sender = \"reject\"", true, false),
        ("null_sender = \"reject\"", false, false),
        ("null_sender = \"reject\"\nsender = \"any\"\non_foreign_sender = \"rewrite\"", true, false),
    ] {
        let identity = identity.then(|| identified(ALICE));
        let clearance = Clearance::new(identity, Reach::Anywhere, &policy(settings), false);
        let permit = clearance.permit(ReversePath::Null).map(|permit| permit.sender().clone());
        assert_eq!(permit, if permitted { Ok(ReversePath::Null) } else { Err(Refusal::NullSender) }, "{settings}");
    }
}

#[test]
fn details_are_ones_own_by_setting() {
    for (separator, sender, permitted) in [
        ("+", "<alice+lists@example.mil>", true),
        ("+", "<Alice+lists+more@EXAMPLE.mil>", true),
        ("+", "<alice+@example.mil>", true),
        ("+", "<+alice@example.mil>", false),
        ("+", "<alice+x@mail.example.mil>", false),
        ("+", "<bob+alice@example.mil>", false),
        ("+", "<alice-lists@example.mil>", false),
        ("-", "<alice-lists@example.mil>", true),
        ("-", "<alice+lists@example.mil>", false),
    ] {
        let settings = format!("subaddress_separator = \"{separator}\"");
        assert_eq!(permit_under(&settings, ALICE, sender).is_ok(), permitted, "{separator} {sender}");
        assert!(permit_under("", ALICE, sender).is_err(), "{sender}");
    }
    // Who has a detail only does not have the whole.
    assert!(permit_under("subaddress_separator = \"+\"", &["alice+x@example.mil"], "<alice@example.mil>").is_err());
}

#[test]
fn domains_are_compared_as_the_dns_does() {
    for binding in ["own-address", "own-domain"] {
        let settings = format!("sender = \"{binding}\"");
        for (own, sender) in [
            ("jörg@bücher.example", "<jörg@xn--bcher-kva.example>"),
            ("jörg@xn--bcher-kva.example", "<jörg@BÜCHER.example>"),
        ] {
            assert!(permit_under(&settings, &[own], sender).is_ok(), "{own} {sender}");
        }
        assert!(permit_under(&settings, &["a@bücher.example"], "<a@xn--bcher-kvb.example>").is_err());
        assert!(permit_under(&settings, &["a@bucher.example"], "<a@bücher.example>").is_err());
    }
}

#[test]
fn a_foreign_sender_is_refused_rewritten_or_seen() {
    let rewritten = |to: &str| Ok((ReversePath::parse(to).unwrap(), Some(true)));
    let seen = |to: &str| Ok((ReversePath::parse(to).unwrap(), Some(false)));
    let plain = |to: &str| Ok((ReversePath::parse(to).unwrap(), None));
    for (on_foreign, own, sender, expected) in [
        ("reject", ALICE, "<alice@example.mil>", plain("<alice@example.mil>")),
        ("reject", ALICE, "<bob@example.mil>", Err(())),
        ("rewrite", ALICE, "<a.smith@mail.example.mil>", plain("<a.smith@mail.example.mil>")),
        ("rewrite", ALICE, "<bob@example.mil>", rewritten("<alice@example.mil>")),
        ("rewrite", ALICE, "<>", plain("<>")),
        ("rewrite", &["jörg@example.mil", "joerg@example.mil"], "<b@example.mil>", rewritten("<joerg@example.mil>")),
        ("rewrite", &["jörg@example.mil"], "<bob@example.mil>", Err(())),
        ("rewrite", &[], "<bob@example.mil>", Err(())),
        ("reject\"\nmonitor = [\"sender\"]#", ALICE, "<bob@example.mil>", seen("<bob@example.mil>")),
        ("reject\"\nmonitor = [\"sender\"]#", &[], "<bob@example.mil>", seen("<bob@example.mil>")),
        ("reject\"\nmonitor = [\"sender\"]#", ALICE, "<alice@example.mil>", plain("<alice@example.mil>")),
    ] {
        let settings = format!("on_foreign_sender = \"{on_foreign}\"");
        let permit = permit_under(&settings, own, sender);
        let found = permit.map(|permit| (permit.sender().clone(), permit.foreign().map(|foreign| foreign.rewritten)));
        assert_eq!(found.map_err(|_| ()), expected, "{on_foreign} {own:?} {sender}");
    }
}

/// What the header's author comes to under `from_header = binding` and `more`.
fn author(binding: &str, more: &str, header: &str) -> Result<Authorized, Refusal> {
    let settings = format!("from_header = \"{binding}\"\n{more}");
    let permit = permit_under(&settings, ALICE, "<alice@example.mil>").unwrap();
    permit.authorize(&HeaderSection::read(header.as_bytes()).unwrap())
}

#[test]
fn what_a_person_may_send_as_besides() {
    let lent = ["support@example.mil", "@lists.example.mil", "@.below.example"];
    let mut alice = identified(&["alice@example.mil"]);
    alice.principal.send_as = lent.map(|pattern| pattern.parse().unwrap()).to_vec();
    for binding in ["own-address", "own-domain"] {
        for (sender, permitted) in [
            ("support@example.mil", true),
            ("Support@EXAMPLE.mil", true),
            ("staff@lists.example.mil", true),
            ("staff@more.lists.example.mil", false),
            ("x@one.below.example", true),
            ("x@below.example", false),
            ("bob@example.mil", binding == "own-domain"),
            ("bob@example.com", false),
        ] {
            let policy = policy(&format!("sender = {binding:?}\nfrom_header = {binding:?}"));
            let clearance = || Clearance::new(Some(alice.clone()), Reach::Anywhere, &policy, false);
            let judged = clearance().permit(ReversePath::parse(&format!("<{sender}>")).unwrap());
            assert_eq!(judged.is_ok(), permitted, "{binding} {sender}");
            let permit = clearance().permit(ReversePath::Null).unwrap();
            let header = HeaderSection::read(format!("From: {sender}\r\n").as_bytes()).unwrap();
            assert_eq!(permit.authorize(&header).is_ok(), permitted, "{binding} {sender}");
        }
    }
    // Addresses that are lent are named, domains are not; and nobody is rewritten to a mailbox that is lent.
    let policy = policy("");
    let refused = Clearance::new(Some(alice.clone()), Reach::Anywhere, &policy, false)
        .permit(ReversePath::parse("<bob@example.mil>").unwrap());
    let named = ["alice@example.mil", "support@example.mil"].map(|address| address.parse().unwrap());
    assert_eq!(refused, Err(Refusal::SenderNotOwn(named.to_vec())));
    alice.principal.addresses.clear();
    let policy = self::policy("on_foreign_sender = \"rewrite\"");
    let clearance = Clearance::new(Some(alice), Reach::Anywhere, &policy, false);
    assert!(clearance.permit(ReversePath::parse("<bob@example.mil>").unwrap()).is_err());
}

#[test]
fn authors_are_bound_to_the_identity() {
    let unclear = |name, why| Err(Refusal::AuthorUnclear(OriginatorError::Unclear(name, why)));
    let not_own = |written: &str| {
        Err(Refusal::AuthorNotOwn { written: written.to_owned(), own: named(&identified(ALICE).principal) })
    };
    let none = Authorized { author: None, foreign: None, monitored: None };
    let cases: &[(&str, Result<(), Refusal>, bool)] = &[
        // header, under own-address, and whether own-domain takes it
        ("From: alice@example.mil", Ok(()), true),
        ("From: Alice <ALICE@EXAMPLE.MIL>", Ok(()), true),
        ("From: Alice\r\n <a.smith@mail.example.mil>", Ok(()), true),
        ("From: A: alice@example.mil;", Ok(()), true),
        ("From: alice@example.mil, a.smith@mail.example.mil\r\nSender: alice@example.mil", Ok(()), true),
        ("From: bob@example.mil", not_own("bob@example.mil"), true),
        ("From: bob@example.com", not_own("bob@example.com"), false),
        ("From: bob@mil", not_own("bob@mil"), false),
        ("From: Alice <bob@example.com>", not_own("bob@example.com"), false),
        ("From: \"alice@example.mil\" <bob@example.com>", not_own("bob@example.com"), false),
        ("From: \"bob@example.com\" <alice@example.mil>", not_own("bob@example.com"), false),
        ("From: alice@example.mil (bob@example.mil)", not_own("bob@example.mil"), true),
        ("From: =?utf-8?q?bob=40example=2Ecom?= <alice@example.mil>", not_own("bob@example.com"), false),
        ("From: \"'alice@example.mil'\" <alice@example.mil>", Ok(()), true),
        ("From: alice@example.mil, bob@example.com\r\nSender: alice@example.mil", not_own("bob@example.com"), false),
        (
            "From: A: bob@example.com, alice@example.mil;\r\nSender: alice@example.mil",
            not_own("bob@example.com"),
            false,
        ),
        ("From: alice@example.mil\r\nSender: bob@example.com", not_own("bob@example.com"), false),
        ("From: alice@example.mil\r\nSender: \"b@c.d\" <alice@example.mil>", not_own("b@c.d"), false),
        ("From: alice@example.mil, alice@example.mil", Err(Refusal::AuthorUnclear(OriginatorError::NoSender)), false),
        (
            "From: alice@example.mil\r\nFrom: bob@example.com",
            Err(Refusal::AuthorUnclear(OriginatorError::Several("From"))),
            false,
        ),
        (
            "From: alice@example.mil\r\nfrom: alice@example.mil",
            Err(Refusal::AuthorUnclear(OriginatorError::Several("From"))),
            false,
        ),
        ("From : alice@example.mil", unclear("From", "has white space before its colon"), false),
        ("From: alice", unclear("From", "has a name without an address"), false),
        ("From: nobody:;", Err(Refusal::AuthorUnclear(OriginatorError::NoAuthor)), false),
        ("Subject: x", Err(Refusal::AuthorUnclear(OriginatorError::NoFrom)), false),
        ("Subject: x\r\n From: alice@example.mil", Err(Refusal::AuthorUnclear(OriginatorError::NoFrom)), false),
        ("From: alice@example.mil\r\nX: a\0b", Err(Refusal::AuthorUnclear(OriginatorError::Control)), false),
        (
            "From: alice@example.mil\r\nX: a\x0bFrom: bob@example.com",
            Err(Refusal::AuthorUnclear(OriginatorError::Control)),
            false,
        ),
        // What comes back to another is its sender's business.
        ("From: alice@example.mil\r\nReply-To: bob@example.com\r\nResent-From: bob@example.com", Ok(()), true),
    ];
    for (header, expected, in_domain) in cases {
        let header = format!("{header}\r\n\r\nFrom: body@example.com\r\n");
        let judged = author("own-address", "", &header);
        assert_eq!(judged.as_ref().map(|_| ()).map_err(Clone::clone), *expected, "{header}");
        assert_eq!(author("own-domain", "", &header).is_ok(), *in_domain, "{header}");
        assert_eq!(author("any", "", &header).as_ref(), Ok(&none), "{header}");
        // Let through as it is, and said.
        let seen = author("own-address", "monitor = [\"from-header\"]", &header).unwrap();
        assert_eq!(seen.author(), None);
        let refusal = seen.foreign().map(|foreign| (foreign.refusal.clone(), foreign.rewritten));
        assert_eq!(refusal, expected.clone().err().map(|refusal| (refusal, false)), "{header}");
        // A client without an identity has nothing that it could be bound to.
        let nobody = Clearance::new(None, Reach::Anywhere, &policy("from_header = \"own-address\""), false);
        let permit = nobody.permit(ReversePath::Null).unwrap();
        assert_eq!(permit.authorize(&HeaderSection::read(header.as_bytes()).unwrap()).as_ref(), Ok(&none));
    }
    assert_eq!(
        author("own-domain", "", "From: bob@example.com"),
        Err(Refusal::AuthorNotOwnDomain("bob@example.com".to_owned()))
    );
    // The null sender has an author all the same.
    let receipt = permit_under("from_header = \"own-address\"", ALICE, "<>").unwrap();
    assert!(receipt.authorize(&HeaderSection::read(b"From: alice@example.mil\r\n").unwrap()).is_ok());
    assert!(receipt.authorize(&HeaderSection::read(b"From: bob@example.com\r\n").unwrap()).is_err());
}

/// Where it is so, the log must have the author for the message to be judged again.
#[test]
fn whether_an_author_matters() {
    for (settings, known, matters) in [
        ("from_header = \"own-address\"", true, true),
        ("from_header = \"own-domain\"", true, true),
        ("from_header = \"any\"", true, false),
        ("from_header = \"own-address\"", false, false),
        ("from_header = \"own-address\"\nmonitor = [\"from-header\"]", true, false),
        ("from_header = \"own-address\"\nmonitor = [\"sender\"]", true, true),
    ] {
        let clearance = Clearance::new(known.then(|| identified(ALICE)), Reach::Anywhere, &policy(settings), false);
        let permit = clearance.permit(ReversePath::Null).unwrap();
        assert_eq!(permit.may_refuse_author(), matters, "{settings}, known: {known}");
    }
}

#[test]
fn an_author_is_rewritten_but_never_a_signed_one() {
    let rewrite = "on_foreign_from = \"rewrite\"";
    let alice: Mailbox = "alice@example.mil".parse().unwrap();
    for (header, expected) in [
        ("From: alice@example.mil\r\n", Ok(None)),
        ("From: alice@example.mil\r\nDKIM-Signature: v=1\r\n", Ok(None)),
        ("From: bob@example.com\r\n", Ok(Some(&alice))),
        ("From: alice@example.mil\r\nFrom: bob@example.com\r\n", Ok(Some(&alice))),
        ("Subject: no author\r\n", Ok(Some(&alice))),
        ("", Ok(Some(&alice))),
        ("From: bob@example.com\r\nDKIM-Signature: v=1\r\n", Err(Refusal::AuthorSigned)),
        ("From: bob@example.com\r\nX: \0\r\n", Err(Refusal::AuthorUnclear(OriginatorError::Control))),
    ] {
        let judged = author("own-address", rewrite, header);
        assert_eq!(judged.as_ref().map(Authorized::author).map_err(Clone::clone), expected, "{header:?}");
    }
    let permit =
        permit_under(&format!("sender = \"any\"\nfrom_header = \"own-address\"\n{rewrite}"), &[], "<b@c.d>").unwrap();
    assert!(permit.authorize(&HeaderSection::read(b"From: b@c.d\r\n").unwrap()).is_err(), "no address to put there");
}

/// `monitor` lets through what would be refused, and says what that is; what is rewritten is still rewritten.
#[test]
fn senders_and_authors_that_are_only_tried_out() {
    let own = &["alice@example.mil"][..];
    for (settings, sender, becomes, rule) in [
        ("", "<bob@example.mil>", "<bob@example.mil>", Some(Rule::Sender)),
        ("", "<alice@example.mil>", "<alice@example.mil>", None),
        ("sender = \"any\"", "<bob@example.mil>", "<bob@example.mil>", None),
        ("null_sender = \"reject\"", "<>", "<>", Some(Rule::Sender)),
        ("on_foreign_sender = \"rewrite\"", "<bob@example.mil>", "<alice@example.mil>", None),
    ] {
        let settings = format!("{settings}\nmonitor = [\"sender\"]");
        let permit = permit_under(&settings, own, sender).unwrap();
        assert_eq!(permit.sender().to_string(), becomes, "{settings}");
        assert_eq!(
            permit.monitored().iter().map(|one| one.rule).collect::<Vec<_>>(),
            Vec::from_iter(rule),
            "{settings}"
        );
    }
    // Nothing that could take its place.
    let permit = permit_under("on_foreign_sender = \"rewrite\"\nmonitor = [\"sender\"]", &[], "<bob@example.mil>");
    assert_eq!(permit.unwrap().monitored()[0].refusal, Refusal::SenderNotOwn(Vec::new()));
    assert!(permit_under("monitor = [\"from-header\"]", own, "<bob@example.mil>").is_err(), "another rule");

    let bobs = "From: bob@example.mil\r\n";
    let signed = "DKIM-Signature: v=1\r\nFrom: bob@example.com\r\n";
    for (more, header, rewritten, told) in [
        ("", bobs, false, true),
        ("", "From: alice@example.mil\r\n", false, false),
        ("on_foreign_from = \"rewrite\"\n", bobs, true, false),
        ("on_foreign_from = \"rewrite\"\n", signed, false, true),
        ("", signed, false, true),
    ] {
        let authorized = author("own-address", &format!("{more}monitor = [\"from-header\"]"), header).unwrap();
        assert_eq!(
            (authorized.author().is_some(), authorized.monitored().is_some()),
            (rewritten, told),
            "{more}{header}"
        );
        assert!(authorized.monitored().is_none_or(|one| one.rule == Rule::FromHeader));
    }
    assert!(author("own-address", "monitor = [\"sender\"]", bobs).is_err(), "another rule");
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
