//! What a client sends, and what the server makes of it, as transcripts: the parts of this crate together.
//!
//! The same whether it comes in one read, in small ones or octet by octet.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use postern_protocol::{ChunkDecoder, Command, DataDecoder, Inbound};

const LINE: usize = 512;

/// What is being read.
enum Reading {
    Commands,
    Data(DataDecoder),
    Chunk(ChunkDecoder, bool),
}

/// A line for each thing understood.
fn understand(wire: &str, piece: usize) -> String {
    let mut inbound = Inbound::new(4096);
    let mut log = Vec::new();
    let mut reading = Reading::Commands;
    let mut content = Vec::new();
    for octets in wire.as_bytes().chunks(piece) {
        assert_eq!(inbound.extend(octets), octets.len());
        loop {
            reading = match reading {
                Reading::Commands => match inbound.next_line(LINE) {
                    Ok(None) => {
                        reading = Reading::Commands;
                        break;
                    }
                    Ok(Some(line)) => match command(&line, &mut log) {
                        Some(next) => next,
                        None => return log.join("\n"),
                    },
                    Err(error) => {
                        log.push(format!("! {error}"));
                        if error.is_fatal() {
                            return log.join("\n");
                        }
                        Reading::Commands
                    }
                },
                Reading::Data(mut decoder) => {
                    if !inbound.decode_data(&mut decoder, &mut content) {
                        reading = Reading::Data(decoder);
                        break;
                    }
                    log.push(end(&mut content, decoder.violation().map_or(Ok(()), Err)));
                    Reading::Commands
                }
                Reading::Chunk(mut decoder, last) => {
                    if !inbound.decode_chunk(&mut decoder, &mut content) {
                        reading = Reading::Chunk(decoder, last);
                        break;
                    }
                    log.push(end(&mut content, if last { decoder.finish() } else { Ok(()) }));
                    Reading::Commands
                }
            };
        }
    }
    log.push(format!("{} octets left", inbound.pending().len()));
    log.join("\n")
}

fn command(line: &[u8], log: &mut Vec<String>) -> Option<Reading> {
    let command = Command::parse(line);
    log.push(match &command {
        Ok(Command::Mail(mail)) => format!("Mail {mail}"),
        Ok(Command::Rcpt(rcpt)) => format!("Rcpt {rcpt}"),
        Ok(command) => format!("{command:?}"),
        Err(error) => format!("! {error}"),
    });
    match command {
        Ok(Command::Data) => Some(Reading::Data(DataDecoder::new())),
        Ok(Command::Bdat { size, last }) => {
            let mut decoder = ChunkDecoder::new();
            decoder.begin(size);
            Some(Reading::Chunk(decoder, last))
        }
        Err(error) if error.is_fatal() => None,
        _ => Some(Reading::Commands),
    }
}

fn end(content: &mut Vec<u8>, result: Result<(), postern_protocol::Violation>) -> String {
    let content = String::from_utf8(std::mem::take(content)).unwrap();
    match result {
        Ok(()) => format!("content {content:?}"),
        Err(violation) => format!("! {violation} after {content:?}"),
    }
}

fn transcript(wire: &str, expected: &str) {
    for piece in [1, 2, 3, 16, 4096] {
        assert_eq!(understand(wire, piece), expected, "in reads of {piece}");
    }
}

#[test]
fn a_pipelined_submission() {
    transcript(
        "EHLO client.example.org\r\nAUTH PLAIN AGFsaWNlAHNlc2FtZQ==\r\n\
         MAIL FROM:<alice@example.org> SIZE=60 BODY=8BITMIME\r\nRCPT TO:<bob@example.net> NOTIFY=failure\r\n\
         RCPT TO: <\"c d\"@example.net>\r\nDATA\r\nSubject: dots\r\n\r\n..\r\n..two\r\nthree.\r\n.\r\nQUIT\r\n",
        r#"Ehlo(ClientName("client.example.org"))
Auth(Auth { mechanism: "PLAIN", initial_response: Some(InitialResponse(..)) })
Mail <alice@example.org> SIZE=60 BODY=8BITMIME
Rcpt <bob@example.net> NOTIFY=FAILURE
Rcpt <"c d"@example.net>
Data
content "Subject: dots\r\n\r\n.\r\n.two\r\nthree.\r\n"
Quit
0 octets left"#,
    );
}

#[test]
fn chunks_between_commands() {
    transcript(
        "MAIL FROM:<>\r\nBDAT 5\r\n.\r\n.xBDAT 0\r\nBDAT 7 LAST\r\na\r\n.\r\nxRSET\r\n",
        r#"Mail <>
Bdat { size: 5, last: false }
content ".\r\n.x"
Bdat { size: 0, last: false }
content ""
Bdat { size: 7, last: true }
content "a\r\n.\r\nx"
Rset
0 octets left"#,
    );
}

/// The message of SMTP smuggling's discoverers: to a server that takes LF "." LF for an end it is two.
#[test]
fn a_smuggled_message_stays_one_and_is_refused() {
    transcript(
        "DATA\r\nSubject: one\r\n\r\nlorem\n.\nMAIL FROM:<admin@example.org>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\n\
         Subject: two\r\n\r\nipsum\r\n.\r\nNOOP\r\n",
        r#"Data
! a LF without CR after "Subject: one\r\n\r\nlorem"
Noop
0 octets left"#,
    );
}

#[test]
fn nothing_is_read_after_a_framing_error() {
    let cases = [
        ("NOOP\nRSET\r\n", "! a LF without CR in a command line"),
        ("NOOP\rRSET\r\nQUIT\r\n", "! a CR without LF in a command line"),
        ("BDAT 1O LAST\r\nRSET\r\n", "! the syntax is: BDAT size [LAST]"),
    ];
    for (wire, expected) in cases {
        transcript(wire, expected);
    }
}

#[test]
fn errors_that_leave_the_session_be() {
    let long = format!("NOOP {}\r\n", "x".repeat(1000));
    transcript(
        &format!("{long}MAIL FROM:<a@b> X=1\r\nRCPT TO:<bob>\r\nHELLO\r\nQUIT\r\nMA"),
        r#"! the line is too long
! unknown parameter X
! recipient: malformed address: no @ after the local part
! command not recognised
Quit
2 octets left"#,
    );
}
