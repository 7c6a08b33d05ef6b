use std::process::{Command, Stdio};

use delivery::{AppliedPolicy, FailureDetails, PolicyType, Summary};

use super::*;

fn settings() -> Settings {
    Settings {
        organization: "Company-X".to_owned(),
        contact: Some("sts-reporting@company-x.example".to_owned()),
        from: Mailbox::parse("tlsrpt@company-x.example").unwrap(),
    }
}

fn sessions() -> Vec<Sessions> {
    let policy = AppliedPolicy {
        policy_type: PolicyType::Sts,
        policy_string: ["version: STSv1", "mode: testing", "mx: *.mail.company-y.example", "max_age: 86400"]
            .map(str::to_owned)
            .to_vec(),
        policy_domain: "company-y.example".to_owned(),
        mx_host: vec!["*.mail.company-y.example".to_owned()],
    };
    let failure = |kind: &str, count| FailureDetails {
        result_type: kind.to_owned(),
        sending_mta_ip: Some("2001:db8:abcd:12::1".parse().unwrap()),
        receiving_mx_hostname: "mx1.mail.company-y.example".to_owned(),
        receiving_ip: Some("192.0.2.56".parse().unwrap()),
        failed_session_count: count,
    };
    let summary = Summary { total_successful_session_count: 5326, total_failure_session_count: 303 };
    let nothing = AppliedPolicy {
        policy_type: PolicyType::NoPolicyFound,
        policy_string: Vec::new(),
        policy_domain: "company-y.example".to_owned(),
        mx_host: Vec::new(),
    };
    vec![
        Sessions {
            policy,
            summary,
            failure_details: vec![failure("certificate-expired", 100), failure("starttls-not-supported", 203)],
        },
        Sessions { policy: nothing, summary: Summary::default(), failure_details: Vec::new() },
    ]
}

/// 2016-04-01, the day of the RFC's example.
const DAY_OF_EXAMPLE: u64 = 16_892;

/// Section 4.4 and appendix B of RFC 8460, written down a second time and by another reader.
const READER: &str = r#"
import email, email.policy, gzip, json, re, sys, datetime
message = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
assert not message.defects, message.defects
assert message.get_content_type() == "multipart/report", message.get_content_type()
assert message["Content-Type"].params["report-type"] == "tlsrpt"
assert message["TLS-Report-Domain"] == "company-y.example"
assert message["TLS-Report-Submitter"] == "company-x.example"
assert message["TLS-Required"] == "No"
assert message["From"].addresses[0].addr_spec == "tlsrpt@company-x.example"
subject = r"Report Domain: company-y.example Submitter: company-x.example Report-ID: <([^ <>]+@[^ <>]+)>"
subject = re.fullmatch(subject, message["Subject"])
assert subject, message["Subject"]
text, attached = message.iter_parts()
assert text.get_content_type() == "text/plain"
assert attached.get_content_type() == "application/tlsrpt+gzip"
name = r"company-x\.example!company-y\.example!1459468800!1459555199![A-Z0-9]+\.json\.gz"
assert re.fullmatch(name, attached.get_filename()), attached.get_filename()
report = json.loads(gzip.decompress(attached.get_content()))
assert report["report-id"] == subject[1], report["report-id"]

def fields(value, needed, allowed=()):
    assert set(needed) <= set(value) <= set(needed) | set(allowed), value
    return value

fields(report, ["organization-name", "date-range", "contact-info", "report-id", "policies"])
times = fields(report["date-range"], ["start-datetime", "end-datetime"])
times = [datetime.datetime.strptime(time, "%Y-%m-%dT%H:%M:%SZ") for time in times.values()]
assert (times[1] - times[0]).total_seconds() == 86399, times
for part in report["policies"]:
    fields(part, ["policy", "summary"], ["failure-details"])
    policy = fields(part["policy"], ["policy-type", "policy-domain"], ["policy-string", "mx-host"])
    assert policy["policy-type"] in ("tlsa", "sts", "no-policy-found"), policy
    assert all(isinstance(text, str) for key in ("policy-string", "mx-host") for text in policy.get(key, []))
    summary = fields(part["summary"], ["total-successful-session-count", "total-failure-session-count"])
    assert all(type(count) is int for count in summary.values())
    for details in part.get("failure-details", []):
        fields(details, ["result-type", "receiving-mx-hostname", "failed-session-count"],
               ["sending-mta-ip", "receiving-ip"])
        assert type(details["failed-session-count"]) is int
print(json.dumps(report, sort_keys=True))
"#;

fn read_by_python(message: &str) -> Option<serde_json::Value> {
    let mut command = Command::new("python3");
    command.args(["-c", READER]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "python3: {error}");
            eprintln!("SKIPPED: python3: {error}");
            return None;
        }
    };
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), message.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{message}\n{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn the_message_is_what_another_reader_takes_for_a_report() {
    let (settings, sessions) = (settings(), sessions());
    let hostname = Domain::parse("mail.company-x.example").unwrap();
    let report = Report {
        settings: &settings,
        hostname: &hostname,
        day: DAY_OF_EXAMPLE,
        domain: "company-y.example",
        sessions: &sessions,
    };
    let to = Mailbox::parse("reports@company-y.example").unwrap();
    let message = report.message(&to, "01JD8Q5VZ3T").unwrap();
    assert!(message.is_ascii() && message.lines().all(|line| line.len() < 998));
    assert_eq!(message.matches('\n').count(), message.matches("\r\n").count());
    let Some(read) = read_by_python(&message) else { return };
    let json: serde_json::Value = serde_json::from_slice(&report.json().unwrap()).unwrap();
    assert_eq!(read, json);
    // Appendix B's values, where they are the same.
    let expected = serde_json::json!({
        "organization-name": "Company-X",
        "date-range": { "start-datetime": "2016-04-01T00:00:00Z", "end-datetime": "2016-04-01T23:59:59Z" },
        "contact-info": "sts-reporting@company-x.example",
        "report-id": "2016-04-01.company-y.example@mail.company-x.example",
        "policies": [{
            "policy": {
                "policy-type": "sts",
                "policy-string": ["version: STSv1", "mode: testing", "mx: *.mail.company-y.example", "max_age: 86400"],
                "policy-domain": "company-y.example",
                "mx-host": ["*.mail.company-y.example"],
            },
            "summary": { "total-successful-session-count": 5326, "total-failure-session-count": 303 },
            "failure-details": [{
                "result-type": "certificate-expired",
                "sending-mta-ip": "2001:db8:abcd:12::1",
                "receiving-mx-hostname": "mx1.mail.company-y.example",
                "receiving-ip": "192.0.2.56",
                "failed-session-count": 100,
            }, {
                "result-type": "starttls-not-supported",
                "sending-mta-ip": "2001:db8:abcd:12::1",
                "receiving-mx-hostname": "mx1.mail.company-y.example",
                "receiving-ip": "192.0.2.56",
                "failed-session-count": 203,
            }],
        }, {
            "policy": { "policy-type": "no-policy-found", "policy-domain": "company-y.example" },
            "summary": { "total-successful-session-count": 0, "total-failure-session-count": 0 },
        }],
    });
    assert_eq!(read, expected);
}

#[test]
fn a_day_is_due_when_it_has_ended_and_its_turn_has_come() {
    let tally = TlsTally::default();
    let domains = (0..200).map(|number| (format!("{number}.example"), sessions())).collect();
    tally.restore([(DAY_OF_EXAMPLE, domains)].into());
    let reports = Reports {
        settings: settings(),
        hostname: Domain::parse("mail.company-x.example").unwrap(),
        resolver: Arc::new(Resolver::alone()),
        fetcher: Fetcher::local(),
    };
    let end = (DAY_OF_EXAMPLE + 1) * DAY;
    let due = |now| reports.due(&tally, now).len();
    assert_eq!((due(end - 1), due(end + SPREAD)), (0, 200));
    let half = due(end + SPREAD / 2);
    assert!((60..140).contains(&half), "{half}");
}
