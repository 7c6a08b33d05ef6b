//! A server that follows a script, connection by connection.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What the server does next.
#[derive(Debug, Clone)]
pub enum Do {
    /// Sends this, `\n` becoming CRLF, with a CRLF at the end.
    Say(&'static str),
    /// Sends these octets and nothing else.
    Raw(&'static [u8]),
    /// Reads a line, which has to begin so.
    Hear(&'static str),
    /// Reads up to the final dot.
    HearText,
    /// Reads so many octets of the text.
    HearSome(usize),
    /// Says nothing more, and keeps the connection open.
    Stall,
    /// Sends one octet after the other, slowly, for ever.
    Drip,
    /// Sends endless lines of one reply.
    Babble,
}

pub use Do::*;

/// The start of nearly every script: greeting, EHLO with these extensions.
pub fn hello(extensions: &'static str) -> Vec<Do> {
    vec![Say("220 rude.example"), Hear("EHLO gateway.example.org"), Say(extensions)]
}

pub const PLAIN: &str = "250 rude.example";
pub const PIPELINING: &str = "250-rude.example\n250 PIPELINING";

/// After the script of a connection ends the connection is closed; after the last script no more are taken.
pub struct Scripted {
    pub port: u16,
    heard: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Scripted {
    pub async fn start(scripts: Vec<Vec<Do>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hearing = heard.clone();
        let task = tokio::spawn(async move {
            for script in scripts {
                let (stream, _) = listener.accept().await.unwrap();
                follow(stream, script, &hearing).await;
            }
        });
        Self { port, heard, task }
    }

    /// Everything the client has said.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// Waits until all scripts have been followed.
    pub async fn finish(self) -> Vec<String> {
        tokio::time::timeout(Duration::from_secs(20), self.task)
            .await
            .expect("a script was not followed to its end")
            .unwrap();
        let heard = self.heard.lock().unwrap();
        heard.clone()
    }
}

impl Scripted {
    /// What was heard so far.
    pub fn heard_so_far(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

async fn follow(stream: TcpStream, script: Vec<Do>, heard: &Mutex<Vec<String>>) {
    let mut stream = BufReader::new(stream);
    for step in script {
        // The client may be gone: that is for the test to judge by what was heard.
        match step {
            Say(text) => {
                let text = format!("{}\r\n", text.replace('\n', "\r\n"));
                let _ = stream.write_all(text.as_bytes()).await;
            }
            Raw(octets) => {
                let _ = stream.write_all(octets).await;
            }
            Hear(expected) => {
                let line = hear(&mut stream, heard).await.unwrap_or_default();
                assert!(line.starts_with(expected), "expected {expected}, heard {line:?}");
            }
            HearText => while hear(&mut stream, heard).await.is_some_and(|line| line != ".") {},
            HearSome(octets) => {
                let mut some = vec![0; octets];
                let _ = tokio::io::AsyncReadExt::read_exact(&mut stream, &mut some).await;
            }
            Stall => {
                // Until the client gives up.
                while hear(&mut stream, heard).await.is_some() {}
            }
            Drip => {
                while stream.write_all(b"2").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            Babble => while stream.write_all(b"250-and another thing\r\n").await.is_ok() {},
        }
    }
}

/// A line without its end, `None` at the end of the connection.
async fn hear(stream: &mut BufReader<TcpStream>, heard: &Mutex<Vec<String>>) -> Option<String> {
    let mut line = Vec::new();
    if stream.read_until(b'\n', &mut line).await.unwrap_or(0) == 0 {
        return None;
    }
    let line = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
    heard.lock().unwrap().push(line.clone());
    Some(line)
}
