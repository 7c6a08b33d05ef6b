use proptest::prelude::*;

use super::*;
use crate::address::{ForwardPath, ReversePath};

fn parse(line: &str) -> Result<Command, CommandError> {
    Command::parse(line.as_bytes())
}

fn name(text: &str) -> ClientName {
    ClientName::parse(text).unwrap()
}

fn mail(text: &str) -> Command {
    Command::Mail(Mail::new(ReversePath::parse(text).unwrap()))
}

fn rcpt(text: &str) -> Command {
    Command::Rcpt(Rcpt::new(ForwardPath::parse(text).unwrap()))
}

fn auth(mechanism: &str, response: Option<&str>) -> Command {
    Command::Auth(Auth {
        mechanism: mechanism.to_owned(),
        initial_response: response.map(|text| InitialResponse(text.to_owned())),
    })
}

#[test]
fn lines_that_are_commands() {
    let cases = [
        ("EHLO client.example.org", Command::Ehlo(name("client.example.org"))),
        ("ehlo [192.0.2.1]", Command::Ehlo(name("[192.0.2.1]"))),
        ("EHLO [IPv6:2001:db8::1]", Command::Ehlo(name("[IPv6:2001:db8::1]"))),
        ("EHLO DESKTOP_7", Command::Ehlo(name("DESKTOP_7"))),
        ("HELO client", Command::Helo(name("client"))),
        ("MAIL FROM:<>", mail("<>")),
        ("mail from:<a@example.org>", mail("<a@example.org>")),
        ("MAIL FROM: <a@example.org>", mail("<a@example.org>")),
        ("RCPT TO:<b@example.org>", rcpt("<b@example.org>")),
        ("Rcpt To: <b@example.org>", rcpt("<b@example.org>")),
        ("RCPT TO:<postmaster>", rcpt("<postmaster>")),
        ("RCPT TO:<\"b > SIZE=1\"@example.org>", rcpt("<\"b > SIZE=1\"@example.org>")),
        ("DATA", Command::Data),
        ("data \t ", Command::Data),
        ("BDAT 0", Command::Bdat { size: 0, last: false }),
        ("BDAT 86 LAST", Command::Bdat { size: 86, last: true }),
        ("bdat 18446744073709551615 last", Command::Bdat { size: u64::MAX, last: true }),
        ("RSET", Command::Rset),
        ("NOOP", Command::Noop),
        ("NOOP whatever you like", Command::Noop),
        ("QUIT", Command::Quit),
        ("HELP", Command::Help),
        ("HELP MAIL", Command::Help),
        ("VRFY alice", Command::Vrfy("alice".to_owned())),
        ("EXPN staff", Command::Expn("staff".to_owned())),
        ("STARTTLS", Command::StartTls),
        ("StartTLS ", Command::StartTls),
        ("AUTH PLAIN", auth("PLAIN", None)),
        ("auth plain =", auth("PLAIN", Some("="))),
        ("AUTH EXTERNAL YWxpY2U=", auth("EXTERNAL", Some("YWxpY2U="))),
        ("AUTH SCRAM-SHA-256 biws", auth("SCRAM-SHA-256", Some("biws"))),
    ];
    for (line, command) in cases {
        assert_eq!(parse(line), Ok(command), "{line}");
    }
}

#[test]
fn lines_that_are_not() {
    use CommandError::*;
    const MAIL: &str = "MAIL FROM:<address> [parameters]";
    const RCPT: &str = "RCPT TO:<address> [parameters]";
    const AUTH: &str = "AUTH mechanism [initial-response]";
    let cases = [
        ("", Unrecognized),
        (" ", Unrecognized),
        (" NOOP", Unrecognized),
        ("NOOPS", Unrecognized),
        ("GET / HTTP/1.1", Unrecognized),
        ("MAILFROM:<a@b>", Unrecognized),
        ("XCLIENT NAME=x", Unrecognized),
        ("ETRN example.org", NotImplemented),
        ("send from:<a@b>", NotImplemented),
        ("TURN", NotImplemented),
        ("NOOP\0", NotText),
        ("NOOP\u{85}", NotText),
        ("MAIL\tFROM:<a@b>", NotText),
        ("EHLO", Syntax("EHLO domain")),
        ("EHLO ", Syntax("EHLO domain")),
        ("EHLO a b", Syntax("EHLO domain")),
        ("EHLO (a)", Syntax("EHLO domain")),
        ("EHLO bücher.example", Syntax("EHLO domain")),
        ("HELO", Syntax("HELO domain")),
        ("HELO a;b", Syntax("HELO domain")),
        ("MAIL", Syntax(MAIL)),
        ("MAIL FROM", Syntax(MAIL)),
        ("MAIL FROM <a@b>", Syntax(MAIL)),
        ("MAIL TO:<a@b>", Syntax(MAIL)),
        ("RCPT", Syntax(RCPT)),
        ("RCPT FROM:<a@b>", Syntax(RCPT)),
        ("DATA now", Syntax("DATA")),
        ("RSET all", Syntax("RSET")),
        ("QUIT now", Syntax("QUIT")),
        ("STARTTLS please", Syntax("STARTTLS")),
        ("VRFY", Syntax("VRFY user")),
        ("EXPN", Syntax("EXPN list")),
        ("BDAT", Chunk),
        ("BDAT -1", Chunk),
        ("BDAT +1", Chunk),
        ("BDAT 1 FIRST", Chunk),
        ("BDAT 1  LAST", Chunk),
        ("BDAT 1 LAST LAST", Chunk),
        ("BDAT 18446744073709551616", Chunk),
        ("AUTH", Syntax(AUTH)),
        ("AUTH PLAIN  AGEAYg==", Syntax(AUTH)),
        ("AUTH PLAIN AGEA Yg==", Syntax(AUTH)),
        ("AUTH PL@IN", Syntax(AUTH)),
        ("AUTH ABCDEFGHIJKLMNOPQRSTU", Syntax(AUTH)),
    ];
    for (line, error) in cases {
        assert_eq!(parse(line), Err(error), "{line:?}");
    }
    assert_eq!(Command::parse(b"NOOP \xff"), Err(NotText));
    assert!(matches!(parse("MAIL FROM:a@example.org"), Err(Sender(_))));
    assert!(matches!(parse("MAIL FROM:  <a@example.org>"), Err(Sender(_))));
    assert!(matches!(parse("RCPT TO:<bob>"), Err(Recipient(_))));
    assert!(matches!(parse("RCPT TO:<>"), Err(Recipient(_))));
    assert_eq!(parse("MAIL FROM:<> X=1"), Err(Parameter(ParameterError::Unknown("X".to_owned()))));
    assert_eq!(parse("MAIL FROM:<> BODY=BINARYMIME"), Err(Parameter(ParameterError::BinaryMime)));
}

#[test]
fn secrets_are_not_shown() {
    let secret = "AGFsaWNlAHNlc2FtZQ==";
    let command = parse(&format!("AUTH PLAIN {secret}")).unwrap();
    assert!(!format!("{command:?} {command:#?}").contains(secret));
    let Command::Auth(auth) = command else { panic!() };
    assert_eq!(auth.initial_response.unwrap().as_base64(), secret);

    let error = parse(&format!("AUTH PLAIN {secret} {secret}")).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(secret));
}

#[test]
fn an_empty_response_is_not_a_missing_one() {
    let response = |line| match parse(line) {
        Ok(Command::Auth(auth)) => auth.initial_response.map(|response| response.as_base64().to_owned()),
        other => panic!("{other:?}"),
    };
    assert_eq!(response("AUTH EXTERNAL ="), Some(String::new()));
    assert_eq!(response("AUTH EXTERNAL"), None);
}

proptest! {
    #[test]
    fn never_panics(octets: Vec<u8>) {
        let _ = Command::parse(&octets);
    }

    #[test]
    fn never_panics_on_what_looks_like_commands(
        line in "(EHLO|MAIL FROM:|RCPT TO:|BDAT|AUTH|VRFY) ?[ -~ü\t]{0,60}"
    ) {
        let _ = Command::parse(line.as_bytes());
    }
}
