//! From the greeting to QUIT: reads command lines and hands them to their handlers.

use policy::{Refusal, Standing};
use protocol::framing::LineError;
use protocol::{Command, CommandError};

use crate::outcome::End;
use crate::record::{Event, Exchange};
use crate::replies;
use crate::session::Session;
use crate::settings::ListenerTls;
use crate::state::State;
use crate::wire::MAX_LINE;

/// RFC 5321 section 4.5.3.1.4 asks for 512 octets and more for extensions; RFC 6531, 3461 and 4954 add up to this.
const MAX_COMMAND: usize = 4096;

/// Serves one client, whatever becomes of it.
pub(crate) async fn converse(mut session: Session) {
    let end = match talk(&mut session).await {
        Ok(never) => match never {},
        Err(end) => end,
    };
    session.close(end).await;
}

/// A conversation has no end of its own: each is an [`End`].
enum Never {}

async fn talk(session: &mut Session) -> Result<Never, End> {
    if session.serving.implicit_tls == ListenerTls::Implicit {
        session.begin_tls().await?;
    }
    greet(session).await?;
    let mut state = State::Greeted;
    loop {
        state = turn(session, state).await?;
    }
}

/// RFC 5321 section 4.2; where the session is refused already, the greeting says so (section 3.1, RFC 3207 section 4.1).
async fn greet(session: &mut Session) -> Result<(), End> {
    let greeting = match &session.judgement.standing {
        Standing::Refused(refusal) => replies::refusal(refusal),
        Standing::Open { .. } | Standing::Disconnect => {
            replies::greeting(session.hostname(), session.policy.banner.as_ref())
        }
    };
    session.recorder.add(|| Event::Greeting { reply: greeting.to_string() });
    session.reply(&greeting).await
}

/// One command: read, and served.
async fn turn(session: &mut Session, state: State) -> Result<State, End> {
    let until = session.idle_deadline();
    let server = session.server().clone();
    // A transaction under way is finished before the server goes down.
    let stop = (!state.in_transaction()).then_some(&server.stop);
    // AUTH with an initial response is the only command that may be longer (RFC 4954 section 4).
    let line = match session.wire.line(MAX_LINE, until, stop).await? {
        Ok(line) if line.len() > MAX_COMMAND && !is_auth(&line) => Err(LineError::TooLong),
        line => line,
    };
    let line = match line {
        Ok(line) => line,
        Err(error) => return framing_error(session, state, error).await,
    };
    let command = Command::parse(&line);
    if let Standing::Refused(refusal) = &session.judgement.standing {
        let refusal = replies::refusal(refusal);
        return refused(session, state, command, refusal).await;
    }
    match command {
        Ok(command) => serve(session, state, command).await,
        Err(error) => {
            session.reply_in(&replies::command_error(&error), state.smtputf8()).await?;
            if error.is_fatal() { Err(End::Framing) } else { Ok(state) }
        }
    }
}

fn is_auth(line: &[u8]) -> bool {
    line.get(..5).is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH "))
}

async fn framing_error(session: &mut Session, state: State, error: LineError) -> Result<State, End> {
    let reply = match error {
        LineError::TooLong | LineError::Endless => replies::line_too_long(),
        _ => replies::bare_line_ending(),
    };
    session.reply(&reply).await?;
    // What follows may be smuggled, or never be a command.
    if error.is_fatal() { Err(End::Framing) } else { Ok(state) }
}

/// A refused session: every command but QUIT meets the same refusal.
async fn refused(
    session: &mut Session,
    state: State,
    command: Result<Command, CommandError>,
    refusal: protocol::Reply,
) -> Result<State, End> {
    // What the client wanted, which under other rules it may have got.
    match &command {
        Ok(Command::Mail(mail)) => session.recorder.add(|| Event::mail(mail, &refusal)),
        Ok(Command::Auth(auth)) => session.recorder.add(|| Event::auth(auth, Exchange::Refused, &refusal)),
        _ => {}
    }
    match command {
        Ok(Command::Quit) => session.quit().await,
        // RFC 3030 section 2: the chunk follows whatever the reply.
        Ok(Command::Bdat { size, .. }) => {
            session.drain_chunk(size).await?;
            session.reply(&refusal).await?;
            Ok(state.reset())
        }
        command => {
            session.reply(&refusal).await?;
            if command.is_err_and(|error| error.is_fatal()) { Err(End::Framing) } else { Ok(state) }
        }
    }
}

async fn serve(session: &mut Session, state: State, command: Command) -> Result<State, End> {
    if let Standing::Open { tls_first: true, .. } = session.judgement.standing
        && !leads_to_tls(&command)
    {
        let refusal = replies::refusal(&Refusal::TlsRequired);
        return refused(session, state, Ok(command), refusal).await;
    }
    match command {
        Command::Ehlo(name) => session.ehlo(name).await,
        Command::Helo(name) => session.helo(name).await,
        Command::StartTls => session.starttls(state).await,
        Command::Auth(auth) => session.auth(state, auth).await,
        Command::Mail(mail) => session.mail(state, mail).await,
        Command::Rcpt(rcpt) => session.rcpt(state, rcpt).await,
        Command::Data => Box::pin(session.data(state)).await,
        Command::Bdat { size, last } => Box::pin(session.bdat(state, size, last)).await,
        Command::Rset => session.rset(state).await,
        Command::Noop => session.answer(state, &replies::ok()).await,
        Command::Help => session.answer(state, &replies::help()).await,
        Command::Vrfy(_) => session.answer(state, &replies::cannot_verify()).await,
        Command::Expn(_) => session.answer(state, &replies::expn_disabled()).await,
        Command::Quit => session.quit().await,
    }
}

/// RFC 3207 section 4.
fn leads_to_tls(command: &Command) -> bool {
    use Command::{Ehlo, Helo, Noop, Quit, Rset, StartTls};
    matches!(command, Ehlo(_) | Helo(_) | StartTls | Noop | Rset | Quit)
}
