//! XCLIENT (Postfix's XCLIENT_README): a next hop that may know is told by whose connection a message came, and judges the
//! client as if it had come there itself.

use std::fmt::Write as _;
use std::net::IpAddr;

use client::{Cause, Connection, Host, Opener};
use protocol::{EnhancedCode, xtext};

use crate::origin::{Origin, OriginClient, protocol};

/// "Information that is not available, and will not be."
const UNAVAILABLE: &str = "[UNAVAILABLE]";

/// RFC 3463 section 3.8: a security function is not available.
const ANOTHERS: EnhancedCode = EnhancedCode(4, 7, 3);

/// The attributes that the next hop wants to know. `None` where it wants none, or the message came from no client.
fn attributes(origin: &Origin, wanted: &[String]) -> Option<String> {
    let Origin { identity, client, .. } = origin;
    let OriginClient { address, name, hello, extended } = client.as_ref()?;
    let known = |value: Option<&str>| value.map_or(UNAVAILABLE.to_owned(), |value| xtext::encode(value.as_bytes()));
    let host = match address.ip().to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("IPV6:{address}"),
    };
    let all = [
        ("ADDR", host),
        ("PORT", address.port().to_string()),
        ("NAME", known(name.as_deref())),
        ("HELO", known(Some(hello))),
        ("PROTO", protocol(*extended).to_owned()),
        ("LOGIN", known(Some(identity.as_str()).filter(|identity| !identity.is_empty()))),
    ];
    let mut attributes = String::new();
    for (name, value) in all.iter().filter(|(name, _)| wanted.iter().any(|wanted| wanted == name)) {
        // Writing to a String cannot fail.
        let _ = write!(attributes, " {name}={value}");
    }
    (!attributes.is_empty()).then_some(attributes)
}

/// Tells the next hop whose message comes, where it wants to know and has not heard so last. What goes wrong is about
/// the host, and the connection is of no more use.
pub(crate) async fn present(mut opener: Opener, connection: &mut Connection, origin: &Origin) -> Result<(), Cause> {
    let attributes = attributes(origin, &connection.extensions.xclient);
    if attributes == connection.presented {
        return Ok(());
    }
    let Some(attributes) = attributes else {
        return Err(Cause::local(Some(&opener.host), ANOTHERS, "the connection is in another's name"));
    };
    // "As if the client had connected": it is the client's EHLO.
    if let Some(client) = origin.client.as_ref().filter(|client| client.hello.is_ascii()) {
        opener.hostname = client.hello.as_str().into();
    }
    opener.present(connection, attributes).await
}

/// Tells who looks after the gateway what a refusal of a fresh connection means.
pub(crate) fn log(cause: &Cause, host: &Host) {
    if let Some(reply) = cause.reply() {
        let mend = "see smtpd_authorized_xclient_hosts there, or take xclient = true off the route";
        tracing::error!(%host, %reply, mend, "the next hop does not let the gateway say who its client is");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(address: &str) -> Origin {
        let client = OriginClient {
            address: address.parse().unwrap(),
            name: None,
            hello: "pc7.example.mil".to_owned(),
            extended: true,
        };
        Origin { identity: "alice".to_owned(), client: Some(client), ..Origin::default() }
    }

    #[test]
    fn what_is_wanted_is_told() {
        let wanted = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let all = wanted("NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT");
        let mut other = origin("[2001:db8::7]:49152");
        other.identity = String::new();
        other.client.as_mut().unwrap().name = Some("pc7.example.mil".to_owned());
        other.client.as_mut().unwrap().extended = false;
        let mut strange = origin("[::ffff:192.0.2.7]:1");
        strange.identity = "a b+c=ü\r\nQUIT".to_owned();
        for (origin, wanted, expected) in [
            (
                origin("192.0.2.7:49152"),
                &all,
                Some(" ADDR=192.0.2.7 PORT=49152 NAME=[UNAVAILABLE] HELO=pc7.example.mil PROTO=ESMTP LOGIN=alice"),
            ),
            (
                other,
                &all,
                Some(
                    " ADDR=IPV6:2001:db8::7 PORT=49152 NAME=pc7.example.mil HELO=pc7.example.mil PROTO=SMTP LOGIN=[UNAVAILABLE]",
                ),
            ),
            (strange, &wanted("LOGIN ADDR"), Some(" ADDR=192.0.2.7 LOGIN=a+20b+2Bc+3D+C3+BC+0D+0AQUIT")),
            (origin("192.0.2.7:1"), &wanted("DESTADDR"), None),
            (origin("192.0.2.7:1"), &Vec::new(), None),
            (Origin { identity: "alice".to_owned(), ..Origin::default() }, &all, None),
        ] {
            assert_eq!(attributes(&origin, wanted).as_deref(), expected);
        }
    }
}
