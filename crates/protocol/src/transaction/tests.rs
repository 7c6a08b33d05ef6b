use proptest::prelude::*;

use super::*;
use crate::address::Mailbox;

fn refused(parameter: ParameterError) -> TransactionError {
    TransactionError::Parameter(parameter)
}

#[test]
fn mail_arguments_that_are() {
    // Argument, and what Display makes of it.
    let cases = [
        ("<>", "<>"),
        ("<a@example.org>", "<a@example.org>"),
        ("<a@example.org> SIZE=0", "<a@example.org> SIZE=0"),
        ("<a@example.org> size=12 body=8bitmime", "<a@example.org> SIZE=12 BODY=8BITMIME"),
        ("<a@example.org> BODY=7BIT", "<a@example.org> BODY=7BIT"),
        ("<a@example.org> SIZE=99999999999999999999", "<a@example.org> SIZE=18446744073709551615"),
        ("<jörg@example.org> SMTPUTF8", "<jörg@example.org> SMTPUTF8"),
        (
            "<a@example.org> AUTH=<> ENVID=Q1 RET=hdrs smtputf8 SIZE=5",
            "<a@example.org> SIZE=5 SMTPUTF8 RET=HDRS ENVID=Q1 AUTH=<>",
        ),
        ("<a@example.org>  RET=FULL ", "<a@example.org> RET=FULL"),
        ("<a@example.org> AUTH=e+3Dmc2@example.com", "<a@example.org> AUTH=e+3Dmc2@example.com"),
    ];
    for (text, display) in cases {
        assert_eq!(Mail::parse(text).map(|mail| mail.to_string()).as_deref(), Ok(display), "{text}");
    }
}

#[test]
fn mail_arguments_that_are_not() {
    let cases = [
        ("<a@example.org> SIZE=1 SIZE=1", Duplicate("SIZE")),
        ("<a@example.org> SIZE=1 size=2", Duplicate("SIZE")),
        ("<a@example.org> BODY=7BIT BODY=8BITMIME", Duplicate("BODY")),
        ("<a@example.org> SMTPUTF8 SMTPUTF8", Duplicate("SMTPUTF8")),
        ("<a@example.org> RET=FULL RET=FULL", Duplicate("RET")),
        ("<a@example.org> ENVID=1 ENVID=1", Duplicate("ENVID")),
        ("<a@example.org> AUTH=<> AUTH=<>", Duplicate("AUTH")),
        ("<a@example.org> SIZE", BadValue("SIZE")),
        ("<a@example.org> SIZE=", BadValue("SIZE")),
        ("<a@example.org> SIZE=-1", BadValue("SIZE")),
        ("<a@example.org> SIZE=+1", BadValue("SIZE")),
        ("<a@example.org> SIZE=1k", BadValue("SIZE")),
        ("<a@example.org> SIZE=000000000000000000001", BadValue("SIZE")),
        ("<a@example.org> BODY=9BIT", BadValue("BODY")),
        ("<a@example.org> BODY=BINARYMIME", ParameterError::BinaryMime),
        ("<a@example.org> SMTPUTF8=yes", BadValue("SMTPUTF8")),
        ("<a@example.org> RET=SOME", BadValue("RET")),
        ("<a@example.org> ENVID=a=b", BadValue("ENVID")),
        ("<a@example.org> AUTH=nobody", BadValue("AUTH")),
        ("<a@example.org> NOTIFY=NEVER", Unknown("NOTIFY".to_owned())),
        ("<a@example.org> MT-PRIORITY=3", Unknown("MT-PRIORITY".to_owned())),
        ("<a@example.org> HOLDFOR", Unknown("HOLDFOR".to_owned())),
        ("<a@example.org> =1", BadValue("name")),
        ("<a@example.org> -X=1", BadValue("name")),
        ("<a@example.org> X_Y=1", BadValue("name")),
        ("<a@example.org> \u{e9}=1", BadValue("name")),
    ];
    for (text, error) in cases {
        assert_eq!(Mail::parse(text), Err(refused(error)), "{text}");
    }
    for text in ["", "a@example.org", "<a@example.org>SIZE=1", "<a@example.org>\tSIZE=1", "<a@example.org>>"] {
        assert!(matches!(Mail::parse(text), Err(TransactionError::Path(_))), "{text}");
    }
}

#[test]
fn rcpt_arguments() {
    let good = [
        ("<b@example.org>", "<b@example.org>"),
        ("<PostMaster>", "<Postmaster>"),
        ("<b@example.org> ORCPT=rfc822;b@x notify=Delay", "<b@example.org> NOTIFY=DELAY ORCPT=rfc822;b@x"),
        ("<b@example.org> NOTIFY=NEVER", "<b@example.org> NOTIFY=NEVER"),
    ];
    for (text, display) in good {
        assert_eq!(Rcpt::parse(text).map(|rcpt| rcpt.to_string()).as_deref(), Ok(display), "{text}");
    }
    let bad = [
        ("<b@example.org> NOTIFY=NEVER NOTIFY=NEVER", Duplicate("NOTIFY")),
        ("<b@example.org> ORCPT=rfc822;b ORCPT=rfc822;b", Duplicate("ORCPT")),
        ("<b@example.org> NOTIFY", BadValue("NOTIFY")),
        ("<b@example.org> ORCPT=b", BadValue("ORCPT")),
        ("<b@example.org> SIZE=1", Unknown("SIZE".to_owned())),
        ("<b@example.org> RRVS=2014-04-03T23:01:00Z", Unknown("RRVS".to_owned())),
    ];
    for (text, error) in bad {
        assert_eq!(Rcpt::parse(text), Err(refused(error)), "{text}");
    }
    assert!(matches!(Rcpt::parse("<>"), Err(TransactionError::Path(_))));
}

#[test]
fn a_parameter_is_no_way_into_the_command_line() {
    // What cannot be parsed cannot be sent either: no CR, LF or space in any value.
    for text in ["<a@example.org> ENVID=a\r\nRSET", "<a@example.org> AUTH=a@b\r\n.example"] {
        assert!(Mail::parse(text).is_err(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn never_panics(text: String, tail in "[ A-Z=<>+;a0-9ü]{0,40}") {
        let _ = Mail::parse(&text);
        let _ = Rcpt::parse(&text);
        let _ = Mail::parse(&format!("<a@b> {tail}"));
        let _ = Rcpt::parse(&format!("<a@b> {tail}"));
    }

    #[test]
    fn display_parses_to_the_same(
        size: Option<u64>,
        body in proptest::option::of(prop_oneof![Just(Body::SevenBit), Just(Body::EightBitMime)]),
        smtputf8: bool,
        require_tls: bool,
        ret in proptest::option::of(prop_oneof![Just(Return::Full), Just(Return::Headers)]),
        envid in proptest::option::of("[a-z0-9]{1,100}"),
        local in proptest::option::of("[a-z+=]{1,20}"),
    ) {
        let mail = Mail {
            reverse_path: ReversePath::parse("<a@example.org>").unwrap(),
            size,
            body,
            smtputf8,
            require_tls,
            ret,
            envid: envid.map(|text| text.parse().unwrap()),
            auth: local.map(|local| Submitter::Mailbox(Mailbox::parse(&format!("{local}@example.org")).unwrap())),
        };
        prop_assert_eq!(Mail::parse(&mail.to_string()), Ok(mail));
    }
}
