//! One report: the JSON of RFC 8460 section 4.4, and the message of section 5.3 around it.

use std::io::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use delivery::Sessions;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use protocol::{Domain, Mailbox};
use serde::Serialize;

use super::{DAY, Settings, date};

/// Section 6.4: the media type of a compressed report.
pub(super) const GZIP: &str = "application/tlsrpt+gzip";
/// RFC 2045 section 6.8.
const BASE64_LINE: usize = 76;

/// What a domain is told of a day.
pub(super) struct Report<'a> {
    pub(super) settings: &'a Settings,
    /// Who this gateway is, for ids.
    pub(super) hostname: &'a Domain,
    pub(super) day: u64,
    /// The recipients'.
    pub(super) domain: &'a str,
    pub(super) sessions: &'a [Sessions],
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Json<'a> {
    organization_name: &'a str,
    date_range: DateRange,
    contact_info: String,
    report_id: String,
    policies: &'a [Sessions],
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct DateRange {
    start_datetime: String,
    end_datetime: String,
}

/// Of seconds since 1970.
pub(super) fn timestamp(seconds: u64) -> Timestamp {
    i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok()).unwrap_or_default()
}

impl Report<'_> {
    fn start(&self) -> u64 {
        self.day.saturating_mul(DAY)
    }

    /// The last second of the day, as in the RFC's example.
    fn end(&self) -> u64 {
        self.start().saturating_add(DAY - 1)
    }

    /// The same however often it is sent, so that a report that comes twice counts once.
    fn id(&self) -> String {
        format!("{}.{}@{}", date(self.day), self.domain, self.hostname)
    }

    pub(super) fn json(&self) -> io::Result<Vec<u8>> {
        let Settings { organization, contact, from } = self.settings;
        let json = Json {
            organization_name: organization,
            date_range: DateRange {
                start_datetime: timestamp(self.start()).to_string(),
                end_datetime: timestamp(self.end()).to_string(),
            },
            contact_info: contact.clone().unwrap_or_else(|| from.to_string()),
            report_id: self.id(),
            policies: self.sessions,
        };
        Ok(serde_json::to_vec(&json)?)
    }

    pub(super) fn gzip(&self) -> io::Result<Vec<u8>> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&self.json()?)?;
        encoder.finish()
    }

    /// For a mailbox; `id` is the message's in the spool.
    pub(super) fn message(&self, to: &Mailbox, id: &str) -> io::Result<String> {
        let from = &self.settings.from;
        let (domain, hostname) = (self.domain, self.hostname);
        let submitter = from.domain().to_a_labels().unwrap_or_else(|| from.domain().to_string());
        let boundary = format!("=_{id}");
        let now = Timestamp::now().to_zoned_datetime(TimeZone::UTC);
        let date_field = jiff::fmt::rfc2822::to_string(&now).unwrap_or_default();
        // Section 5.1.
        let file = format!("{submitter}!{domain}!{}!{}!{id}.json.gz", self.start(), self.end());
        let mut out = Vec::new();
        let mut line = |text: &str| {
            out.extend_from_slice(text.as_bytes());
            out.extend_from_slice(b"\r\n");
        };
        line(&format!("Date: {date_field}"));
        line(&format!("From: <{from}>"));
        line(&format!("To: <{to}>"));
        // Section 5.3, which folds it there.
        line(&format!("Subject: Report Domain: {domain}"));
        line(&format!(" Submitter: {submitter}"));
        line(&format!(" Report-ID: <{}>", self.id()));
        line(&format!("TLS-Report-Domain: {domain}"));
        line(&format!("TLS-Report-Submitter: {submitter}"));
        line(&format!("Message-ID: <{id}@{hostname}>"));
        line("Auto-Submitted: auto-generated");
        // RFC 8460 section 3: the very policies that fail must not hold it up; RFC 8689 section 3 says so to all hops.
        line("TLS-Required: No");
        line("MIME-Version: 1.0");
        line("Content-Type: multipart/report; report-type=\"tlsrpt\";");
        line(&format!("\tboundary=\"{boundary}\""));
        line("");
        line("This is a MIME-encapsulated message.");
        line("");
        line(&format!("--{boundary}"));
        line("Content-Type: text/plain; charset=utf-8");
        line("Content-Transfer-Encoding: 7bit");
        line("");
        line(&format!("This is an aggregate report about TLS (RFC 8460) of {}", date(self.day)));
        line(&format!("for mail to {domain}, as {hostname} has sent it."));
        line("");
        line(&format!("--{boundary}"));
        line(&format!("Content-Type: {GZIP}"));
        line("Content-Transfer-Encoding: base64");
        line("Content-Disposition: attachment;");
        line(&format!("\tfilename=\"{file}\""));
        line("");
        let encoded = BASE64.encode(self.gzip()?);
        let mut rest = encoded.as_str();
        while !rest.is_empty() {
            let (head, tail) = rest.split_at(rest.len().min(BASE64_LINE));
            line(head);
            rest = tail;
        }
        line("");
        line(&format!("--{boundary}--"));
        String::from_utf8(out).map_err(io::Error::other)
    }
}
