use super::*;

fn all() -> Extensions {
    Extensions {
        pipelining: true,
        size: Some(26_214_400),
        eight_bit_mime: true,
        smtputf8: true,
        chunking: true,
        dsn: true,
        enhanced_status_codes: true,
        starttls: true,
        require_tls: true,
        auth: vec!["PLAIN".to_owned(), "EXTERNAL".to_owned()],
        limits: Limits { mail_max: Some(100), rcpt_max: Some(50), rcpt_domain_max: None },
        xclient: Vec::new(),
    }
}

#[test]
fn attributes_of_xclient() {
    let mut extensions = Extensions::default();
    extensions.take("XCLIENT NAME addr LOGIN");
    assert_eq!(extensions.xclient, ["NAME", "ADDR", "LOGIN"]);
    extensions.take(&format!("XCLIENT{}", " A".repeat(1000)));
    assert_eq!(extensions.xclient.len(), MAX_ATTRIBUTES);
}

#[test]
fn the_whole_answer() {
    let mut wire = Vec::new();
    all().to_reply("mail.example.org").write_to(&mut wire);
    let expected = "250-mail.example.org\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250-DSN\r\n\
        250-ENHANCEDSTATUSCODES\r\n250-STARTTLS\r\n250-REQUIRETLS\r\n250-SIZE 26214400\r\n250-AUTH PLAIN EXTERNAL\r\n\
        250 LIMITS MAILMAX=100 RCPTMAX=50\r\n";
    assert_eq!(String::from_utf8(wire).unwrap(), expected);
}

#[test]
fn both_ways() {
    let none = Extensions::default();
    for extensions in [all(), none.clone(), Extensions { size: Some(0), ..none.clone() }] {
        assert_eq!(Extensions::parse(&extensions.to_reply("mail.example.org")), extensions);
    }
    assert_eq!(none.to_reply("mail.example.org").lines().len(), 1);
}

#[test]
fn what_servers_say() {
    let none = Extensions::default;
    let auth = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let limits = |mail_max, rcpt_max| Limits { mail_max, rcpt_max, rcpt_domain_max: None };
    let cases = [
        ("size 1000", Extensions { size: Some(1000), ..none() }),
        ("SIZE", Extensions { size: Some(0), ..none() }),
        ("SIZE lots", Extensions { size: Some(0), ..none() }),
        ("StartTls", Extensions { starttls: true, ..none() }),
        ("STARTTLS ", Extensions { starttls: true, ..none() }),
        ("AUTH plain LOGIN PLAIN", Extensions { auth: auth(&["PLAIN", "LOGIN"]), ..none() }),
        ("AUTH=LOGIN PLAIN", Extensions { auth: auth(&["LOGIN", "PLAIN"]), ..none() }),
        ("AUTH", none()),
        ("AUTH PL@IN \u{e4} ABCDEFGHIJKLMNOPQRSTU X", Extensions { auth: auth(&["X"]), ..none() }),
        ("LIMITS RCPTMAX=20 MAILMAX=5 X=1", Extensions { limits: limits(Some(5), Some(20)), ..none() }),
        ("LIMITS RCPTMAX=0 MAILMAX=1000000", none()),
        ("LIMITS RCPTMAX MAILMAX=-1", none()),
        ("LIMITS RCPTMAX=+5", none()),
        ("XFORWARD NAME ADDR", none()),
        ("8BITMIMEX", none()),
        ("", none()),
    ];
    for (line, expected) in cases {
        let reply = Reply::new(250, None, "STARTTLS").with_line(line.to_owned());
        assert_eq!(Extensions::parse(&reply), expected, "{line}");
    }
}

#[test]
fn mechanisms_are_bounded() {
    // Several lines, for one is cut before it gets there. What is kept fits into one of ours.
    let line = |from: usize| format!("AUTH{}", (from..from + 20).map(|n| format!(" {n:020}")).collect::<String>());
    let reply = Reply::new(250, None, "x").with_line(line(0)).with_line(line(20)).with_line(line(40));
    let offered = Extensions::parse(&reply);
    assert_eq!(offered.auth.len(), MAX_MECHANISMS);
    assert_eq!(Extensions::parse(&offered.to_reply("x")), offered);
}
