//! A client that submits many messages over one connection, with as little work of its own as SMTP lets it.

use std::net::SocketAddr;

use demo::{ClientTls, Transport};
use protocol::ReplyParser;

use crate::Failure;

pub(crate) struct Submitter {
    transport: Transport,
    replies: ReplyParser,
}

impl Submitter {
    /// Connects with implicit TLS and says EHLO.
    pub(crate) async fn open(address: SocketAddr, tls: &ClientTls) -> Result<Self, Failure> {
        let mut transport = Transport::connect(address).await?;
        transport.handshake(tls).await?;
        let mut submitter = Self { transport, replies: ReplyParser::new() };
        submitter.expect(220).await?;
        submitter.say(b"EHLO client.example.mil\r\n", &[250]).await?;
        Ok(submitter)
    }

    /// Sends octets, and insists on these replies.
    pub(crate) async fn say(&mut self, octets: &[u8], codes: &[u16]) -> Result<(), Failure> {
        self.transport.send("send", octets).await?;
        for &code in codes {
            self.expect(code).await?;
        }
        Ok(())
    }

    /// One message: two round trips, its commands pipelined (RFC 2920).
    pub(crate) async fn submit(&mut self, commands: &[u8], content: &[u8]) -> Result<(), Failure> {
        self.say(commands, &[250, 250, 354]).await?;
        self.say(content, &[250]).await
    }

    async fn expect(&mut self, code: u16) -> Result<(), Failure> {
        loop {
            if let Some(reply) = self.replies.next_reply()? {
                return match reply.code() == code {
                    true => Ok(()),
                    false => Err(format!("expected {code}, got {reply}").into()),
                };
            }
            self.transport.receive("reply", &mut self.replies.space()).await?;
        }
    }
}
