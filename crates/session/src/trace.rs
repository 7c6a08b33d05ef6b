//! The trace fields put on top of a message: Received (RFC 5321 section 4.4) and Authentication-Results (RFC 8601).

use std::fmt::Write as _;
use std::net::IpAddr;

use auth::TlsFact;
use jiff::Timestamp;
use policy::Identified;
use protocol::command::ClientName;

/// Longest header line that is not folded: RFC 5322 section 2.1.1 recommends 78 and allows 998.
const MAX_SUBJECT: usize = 600;

/// What the trace fields tell.
pub(crate) struct Submission<'s> {
    pub(crate) hostname: &'s str,
    pub(crate) client_name: &'s ClientName,
    pub(crate) client: IpAddr,
    pub(crate) extended: bool,
    pub(crate) smtputf8: bool,
    pub(crate) tls: Option<&'s TlsFact>,
    pub(crate) identity: Option<&'s Identified>,
    /// Only by setting: subjects are personal data.
    pub(crate) certificate_subject: Option<&'s str>,
    pub(crate) id: String,
    pub(crate) at: Timestamp,
}

impl Submission<'_> {
    /// The fields, each with its CRLF.
    pub(crate) fn fields(&self) -> String {
        let mut fields = String::with_capacity(512);
        // Writing to a String cannot fail.
        let _ = write!(fields, "Received: from {} ({})", self.client_name, literal(self.client));
        if let Some(tls) = self.tls {
            let _ = write!(fields, "\r\n\t(using {} with cipher {}", tls.version, tls.cipher);
            if let Some(subject) = self.certificate_subject {
                let _ = write!(fields, ";\r\n\t client certificate {} verified", comment(subject));
            }
            fields.push(')');
        }
        let date = date(self.at);
        let _ = write!(fields, "\r\n\tby {} with {} id {};\r\n\t{date}\r\n", self.hostname, self.with(), self.id);
        let _ = match self.identity {
            // RFC 8601 section 2.7.4; the certificate is SASL EXTERNAL without the word.
            Some(identity) => {
                let user = value(&identity.principal.user_id);
                write!(fields, "Authentication-Results: {};\r\n\tauth=pass smtp.auth={user}\r\n", self.hostname)
            }
            None => write!(fields, "Authentication-Results: {}; none\r\n", self.hostname),
        };
        fields
    }

    /// RFC 3848, and RFC 6531 section 4.3 for SMTPUTF8.
    fn with(&self) -> &'static str {
        let authenticated = self.identity.is_some();
        match (self.smtputf8, self.extended, self.tls.is_some(), authenticated) {
            (_, false, _, _) => "SMTP",
            (false, true, false, false) => "ESMTP",
            (false, true, true, false) => "ESMTPS",
            (false, true, false, true) => "ESMTPA",
            (false, true, true, true) => "ESMTPSA",
            (true, true, false, false) => "UTF8SMTP",
            (true, true, true, false) => "UTF8SMTPS",
            (true, true, false, true) => "UTF8SMTPA",
            (true, true, true, true) => "UTF8SMTPSA",
        }
    }
}

/// RFC 5322 section 3.3, in UTC.
pub(crate) fn date(at: Timestamp) -> String {
    // Only years beyond 9999 have no such form.
    jiff::fmt::rfc2822::to_string(&at.to_zoned_datetime(jiff::tz::TimeZone::UTC)).unwrap_or_default()
}

/// RFC 5321 section 4.1.3.
fn literal(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => format!("[{address}]"),
        IpAddr::V6(address) => format!("[IPv6:{address}]"),
    }
}

/// Text inside a comment (RFC 5322 section 3.2.2): what would end it is escaped, and nothing leaves ASCII or the line.
fn comment(text: &str) -> String {
    let quoted = text.chars().take(MAX_SUBJECT).flat_map(|c| match c {
        '(' | ')' | '\\' => vec!['\\', c],
        ' '..='~' => vec![c],
        _ => vec!['?'],
    });
    quoted.collect()
}

/// RFC 8601 section 2.2: a `value` is a token or a quoted string.
fn value(text: &str) -> String {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`{|}~".contains(c);
    if !text.is_empty() && text.chars().all(token) {
        return text.to_owned();
    }
    let quoted = text.chars().flat_map(|c| match c {
        '"' | '\\' => vec!['\\', c],
        ' '..='~' => vec![c],
        _ => vec!['?'],
    });
    format!("\"{}\"", quoted.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use auth::{Mechanism, Principal};

    fn fields(edit: impl FnOnce(&mut Submission<'_>)) -> String {
        let client_name = ClientName::parse("laptop.example.mil").unwrap();
        let tls = TlsFact {
            version: "TLSv1.3".into(),
            cipher: "TLS13_AES_256_GCM_SHA384".into(),
            implicit: false,
            channel_binding: true,
        };
        let principal = Principal { user_id: "alice".to_owned(), addresses: vec![], send_as: vec![] };
        let identity = Identified { principal, mechanism: Some(Mechanism::External) };
        let mut submission = Submission {
            hostname: "mail.example.mil",
            client_name: &client_name,
            client: "::ffff:192.0.2.7".parse().unwrap(),
            extended: true,
            smtputf8: false,
            tls: Some(&tls),
            identity: Some(&identity),
            certificate_subject: None,
            id: "0A1".to_owned(),
            at: Timestamp::from_second(1_795_507_200).unwrap(),
        };
        edit(&mut submission);
        submission.fields()
    }

    #[test]
    fn authenticated_over_tls() {
        assert_eq!(
            fields(|_| ()),
            "Received: from laptop.example.mil ([192.0.2.7])\r\n\
             \t(using TLSv1.3 with cipher TLS13_AES_256_GCM_SHA384)\r\n\
             \tby mail.example.mil with ESMTPSA id 0A1;\r\n\
             \tTue, 24 Nov 2026 08:00:00 +0000\r\n\
             Authentication-Results: mail.example.mil;\r\n\
             \tauth=pass smtp.auth=alice\r\n"
        );
    }

    #[test]
    fn unknown_client_in_clear_text() {
        let fields = fields(|submission| {
            submission.tls = None;
            submission.identity = None;
            submission.extended = false;
            submission.client = "2001:db8::1".parse().unwrap();
        });
        assert_eq!(
            fields,
            "Received: from laptop.example.mil ([IPv6:2001:db8::1])\r\n\
             \tby mail.example.mil with SMTP id 0A1;\r\n\
             \tTue, 24 Nov 2026 08:00:00 +0000\r\n\
             Authentication-Results: mail.example.mil; none\r\n"
        );
    }

    #[test]
    fn a_subject_cannot_leave_its_comment() {
        let fields = fields(|submission| submission.certificate_subject = Some("CN=a)\r\nX: ü\\("));
        assert!(fields.contains("client certificate CN=a\\)??X: ?\\\\\\( verified)"), "{fields}");
    }
}
