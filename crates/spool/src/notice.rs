//! Notices to senders: delivery status notifications, RFC 3464 in the envelope of RFC 6522, and their international
//! form, RFC 6533.

use std::net::IpAddr;

use protocol::{Domain, EnhancedCode, Envelope, Mailbox, Recipient, ReversePath};

use crate::clock::Millis;
use crate::id::MessageId;

/// What is reported: RFC 3464 section 2.3.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Given up.
    Failed,
    /// Still being tried.
    Delayed {
        /// At this age the next failure is the last one.
        until: Millis,
    },
    /// In the mailbox, as its sender asked to be told.
    Delivered,
    /// Handed to a system that will not send a success notice, though the sender asked for one.
    Relayed,
}

impl Action {
    /// The gravest comes first.
    pub(crate) fn rank(self) -> u8 {
        match self {
            Self::Failed => 0,
            Self::Delayed { .. } => 1,
            Self::Relayed => 2,
            Self::Delivered => 3,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed { .. } => "delayed",
            Self::Delivered => "delivered",
            Self::Relayed => "relayed",
        }
    }
}

/// One recipient of the report.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) recipient: &'a Recipient,
    pub(crate) action: Action,
    pub(crate) status: EnhancedCode,
    /// Name or address of the next hop; empty when none was asked.
    pub(crate) host: &'a str,
    /// Its reply; empty when it gave none.
    pub(crate) reply: &'a str,
    /// The story in one line.
    pub(crate) text: &'a str,
}

/// How much of the message comes back.
#[derive(Debug)]
pub(crate) enum Returned<'a> {
    Message(&'a [u8]),
    Header(&'a [u8]),
}

/// A notice to be written.
#[derive(Debug)]
pub(crate) struct Notice<'a> {
    /// Its own.
    pub(crate) id: MessageId,
    pub(crate) hostname: &'a Domain,
    pub(crate) to: &'a Mailbox,
    /// Of the message it is about.
    pub(crate) envelope: &'a Envelope,
    pub(crate) subject_id: MessageId,
    pub(crate) arrived: Millis,
    pub(crate) now: Millis,
    /// By [`Action::rank`].
    pub(crate) reports: Vec<Report<'a>>,
    pub(crate) returned: Returned<'a>,
}

/// RFC 5322 section 2.1.1, less room for the field's name.
const MAX_VALUE: usize = 900;

impl Notice<'_> {
    /// Whether it needs SMTPUTF8: addresses or the returned header are not ASCII, and the message came that way.
    pub(crate) fn is_international(&self) -> bool {
        let header = match self.returned {
            Returned::Header(header) => header,
            Returned::Message(message) => header_of(message),
        };
        let addresses = self.reports.iter().all(|report| report.recipient.mailbox.is_ascii());
        !self.to.is_ascii() || self.envelope.smtputf8 && !(addresses && header.is_ascii())
    }

    /// The whole message, CRLF lines.
    pub(crate) fn compose(&self) -> Vec<u8> {
        let utf8 = self.is_international();
        let returned = match self.returned {
            Returned::Message(octets) | Returned::Header(octets) => octets,
        };
        let boundary = self.boundary(returned);
        let mut out = String::new();
        self.header(&boundary, &mut out);
        self.explanation(&boundary, &mut out);
        self.status(&boundary, utf8, &mut out);
        let (kind, encoding) = (self.returned_type(utf8), if returned.is_ascii() { "7bit" } else { "8bit" });
        line(&mut out, &format!("--{boundary}"));
        line(&mut out, &format!("Content-Type: {kind}"));
        line(&mut out, &format!("Content-Transfer-Encoding: {encoding}"));
        line(&mut out, "");
        let mut out = out.into_bytes();
        out.extend_from_slice(returned);
        if !returned.ends_with(b"\r\n") {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        out
    }

    /// A line that does not occur in what comes back.
    fn boundary(&self, returned: &[u8]) -> String {
        let candidate = |number: u32| format!("=_{}.{number}", self.id);
        let occurs = |text: &str| memchr::memmem::find(returned, text.as_bytes()).is_some();
        (0..).map(candidate).find(|candidate| !occurs(candidate)).unwrap_or_default()
    }

    fn header(&self, boundary: &str, out: &mut String) {
        let subject = match self.reports.first().map(|report| report.action) {
            Some(Action::Failed) if self.is_double_bounce() => "Undelivered mail without a sender",
            Some(Action::Failed) => "Undelivered mail returned to sender",
            Some(Action::Delayed { .. }) => "Mail delayed, still being tried",
            Some(Action::Relayed) => "Mail handed on",
            Some(Action::Delivered) | None => "Mail delivered",
        };
        line(out, &format!("Date: {}", date(self.now)));
        line(out, &format!("From: Mail Delivery System <{}>", daemon(self.hostname)));
        line(out, &format!("To: <{}>", self.to));
        line(out, &format!("Subject: {subject}"));
        line(out, &format!("Message-ID: <{}@{}>", self.id, self.hostname));
        // RFC 3834 section 5: so that no automaton answers.
        line(out, "Auto-Submitted: auto-replied");
        line(out, "MIME-Version: 1.0");
        line(out, "Content-Type: multipart/report; report-type=delivery-status;");
        line(out, &format!("\tboundary=\"{boundary}\""));
        if self.has_eight_bit() {
            line(out, "Content-Transfer-Encoding: 8bit");
        }
        line(out, "");
        line(out, "This is a MIME-encapsulated message.");
        line(out, "");
    }

    /// Whether the notice needs 8BITMIME.
    pub(crate) fn has_eight_bit(&self) -> bool {
        let (Returned::Message(octets) | Returned::Header(octets)) = self.returned;
        self.is_international() || !octets.is_ascii()
    }

    fn explanation(&self, boundary: &str, out: &mut String) {
        line(out, &format!("--{boundary}"));
        line(out, "Content-Type: text/plain; charset=utf-8");
        line(
            out,
            if self.is_international() { "Content-Transfer-Encoding: 8bit" } else { "Content-Transfer-Encoding: 7bit" },
        );
        line(out, "Content-Description: Notification");
        line(out, "");
        line(out, &format!("This is the mail system at {}.", self.hostname));
        line(out, "");
        for reports in self.reports.chunk_by(|one, next| one.action == next.action) {
            self.explain(reports, out);
        }
        line(out, &format!("The message was {} when it was accepted here.", self.subject_id));
        line(out, "");
    }

    /// The recipients of whom the same is to be said.
    fn explain(&self, reports: &[Report<'_>], out: &mut String) {
        match reports.first().map(|report| report.action) {
            Some(Action::Failed) if self.is_double_bounce() => {
                line(out, "A message that names no sender could not be delivered to the recipients");
                line(out, "below, and will not be tried again. Nobody else is told.");
            }
            Some(Action::Failed) => {
                line(out, "Your message could not be delivered to the recipients below,");
                line(out, "and will not be tried again. What was the matter is said for each.");
            }
            Some(Action::Delayed { until }) => {
                line(out, "Your message has not been delivered to the recipients below yet.");
                line(out, &format!("It goes on being tried until {}.", date(until)));
                line(out, "There is nothing you need to do. This is said once.");
            }
            Some(Action::Delivered) => line(out, "Your message was delivered to the recipients below."),
            Some(Action::Relayed) => {
                line(out, "Your message was handed to the next system for the recipients below.");
                line(out, "That system does not send notices of delivery, so this is the last one.");
            }
            None => {}
        }
        for report in reports {
            line(out, "");
            line(out, &self.plain(&format!("<{}>:", report.recipient.mailbox)));
            line(out, &self.plain(&format!("    {}", report.text)));
        }
        line(out, "");
    }

    /// It goes to the postmaster, there being no sender.
    fn is_double_bounce(&self) -> bool {
        self.envelope.reverse_path == ReversePath::Null
    }

    fn status(&self, boundary: &str, utf8: bool, out: &mut String) {
        line(out, &format!("--{boundary}"));
        line(
            out,
            if utf8 { "Content-Type: message/global-delivery-status" } else { "Content-Type: message/delivery-status" },
        );
        if utf8 {
            line(out, "Content-Transfer-Encoding: 8bit");
        }
        line(out, "Content-Description: Delivery report");
        line(out, "");
        line(out, &format!("Reporting-MTA: dns; {}", self.hostname));
        if let Some(envid) = &self.envelope.envid {
            line(out, &format!("Original-Envelope-Id: {}", envid.decoded()));
        }
        line(out, &format!("Arrival-Date: {}", date(self.arrived)));
        for report in &self.reports {
            line(out, "");
            self.recipient(report, utf8, out);
        }
        line(out, "");
    }

    fn recipient(&self, report: &Report<'_>, utf8: bool, out: &mut String) {
        let mailbox = &report.recipient.mailbox;
        if let Some(original) = &report.recipient.original {
            let address_type = original.address_type();
            let address = match utf8 {
                false if address_type.eq_ignore_ascii_case("utf-8") => xtext(&original.decoded_address()),
                _ => original.decoded_address(),
            };
            line(out, &self.plain(&format!("Original-Recipient: {address_type}; {address}")));
        }
        let address_type = if utf8 && !mailbox.is_ascii() { "utf-8" } else { "rfc822" };
        line(out, &self.plain(&format!("Final-Recipient: {address_type}; {mailbox}")));
        line(out, &format!("Action: {}", report.action.name()));
        line(out, &format!("Status: {}", report.status));
        if !report.host.is_empty() {
            // RFC 3464 section 2.1.2: a "dns" name, or an address in brackets.
            let host = match report.host.parse::<IpAddr>() {
                Ok(IpAddr::V4(address)) => format!("[{address}]"),
                Ok(IpAddr::V6(address)) => format!("[IPv6:{address}]"),
                Err(_) => report.host.to_owned(),
            };
            line(out, &format!("Remote-MTA: dns; {host}"));
        }
        if !report.reply.is_empty() {
            line(out, &self.plain(&format!("Diagnostic-Code: smtp; {}", report.reply)));
        }
        match report.action {
            // When the last attempt was is not kept.
            Action::Delayed { until } => line(out, &format!("Will-Retry-Until: {}", date(until))),
            _ => line(out, &format!("Last-Attempt-Date: {}", date(self.now))),
        }
    }

    fn returned_type(&self, utf8: bool) -> &'static str {
        match (&self.returned, utf8) {
            (Returned::Message(_), false) => "message/rfc822",
            (Returned::Message(_), true) => "message/global",
            (Returned::Header(_), false) => "text/rfc822-headers",
            (Returned::Header(_), true) => "message/global-headers",
        }
    }

    /// Text of a next hop's or a sender's making, fit for a line: short, and ASCII unless the notice is international.
    fn plain(&self, text: &str) -> String {
        let keep = |c: char| if (c.is_ascii() || self.is_international()) && !c.is_control() { c } else { '?' };
        let mut length = 0_usize;
        let fits = |c: &char| {
            length += c.len_utf8();
            length <= MAX_VALUE
        };
        text.chars().map(keep).take_while(fits).collect()
    }
}

/// RFC 6533 section 3, `utf-8-addr-xtext`: an address where only ASCII can be said.
fn xtext(address: &str) -> String {
    let keep = |c: char| matches!(c, '!'..='~') && !matches!(c, '\\' | '+' | '=');
    let escaped = |c: char| if keep(c) { c.to_string() } else { format!("\\x{{{:02X}}}", u32::from(c)) };
    address.chars().map(escaped).collect()
}

/// RFC 3464 section 2: who writes notices.
fn daemon(hostname: &Domain) -> String {
    format!("MAILER-DAEMON@{hostname}")
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push_str("\r\n");
}

/// RFC 5322 section 3.3.
fn date(millis: Millis) -> String {
    let millis = i64::try_from(millis).unwrap_or_default();
    let zoned =
        jiff::Timestamp::from_millisecond(millis).unwrap_or_default().to_zoned_datetime(jiff::tz::TimeZone::UTC);
    jiff::fmt::rfc2822::to_string(&zoned).unwrap_or_default()
}

/// The header section, without the empty line after it.
pub(crate) fn header_of(message: &[u8]) -> &[u8] {
    if message.starts_with(b"\r\n") {
        return &[];
    }
    let end = memchr::memmem::find(message, b"\r\n\r\n").map_or(message.len(), |end| end.saturating_add(2));
    message.get(..end).unwrap_or(message)
}

#[cfg(test)]
mod tests;
