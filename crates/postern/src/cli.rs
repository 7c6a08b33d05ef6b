//! The command line: help texts, completions and manual pages come from these definitions.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueHint};

/// An SMTP submission gateway that knows its senders by their certificates.
///
/// Mail clients connect over TLS and show a client certificate: a CAC or PIV card, a device certificate. Postern proves
/// it valid and unrevoked, finds the person in a directory, applies the mail flow policy and relays the message.
/// People without a card fall back to SMTP AUTH where their directory entry allows it.
///
/// New here? `postern demo` needs no configuration and shows it all.
#[derive(Debug, Parser)]
#[command(name = "postern", version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gateway.
    ///
    /// SIGHUP reads the configuration again (a bad one is refused, and the old one kept); SIGTERM and SIGINT finish the
    /// transactions under way and stop.
    Run(ConfigFile),
    /// Check a configuration, and everything it names.
    ///
    /// All problems are reported at once, each with file, line, column, key and what would be right. Exits with 1 when
    /// there is an error, with 0 when there are only warnings or nothing.
    Check(Check),
    /// Show the gateway at work: a throw-away PKI, a next hop, and a tour through the front door.
    ///
    /// Needs no configuration and no other server, and talks to nobody but this machine.
    Demo(Demo),
    /// Explain what the gateway would decide, and why: each question, its answer, and the verdict.
    ///
    /// With --session, a session of the log: event by event, what was said then beside what would be said now. Exits with
    /// 0 when every reply is the same, with 2 when one would differ, with 3 when the log cannot tell.
    Explain(Explain),
    /// Judge the sessions of a log again, under another configuration, and list those that would change.
    ///
    /// Each session's facts, as the log keeps them (`[log] facts`), go through the same judgement under the configuration
    /// that is named. Recipients within an hour are counted anew, from the log's begin. Directories, trusts and servers whose
    /// settings are others now are not asked unless --live says so, and passwords never are. Exits with 0 when nothing
    /// would change, with 2 when something would, with 3 when nothing is known to change and some sessions cannot be told.
    Simulate(Simulate),
    /// Show the way that mail for a recipient would take, and why: the route, and the next hops as they would be tried now.
    ///
    /// Asks the DNS, and the servers of MTA-STS policies; connects to no next hop. Without --sender the mail has a null
    /// sender; without --identity, --listener or --policy it takes no route that asks for one.
    ///
    /// Exits with 0 when there is a next hop, with 2 when the mail would come back to its sender, with 3 when it would
    /// wait, with 1 when that cannot be told.
    Route(RouteArguments),
    /// Look at certificates: what is in them, and whether they would be accepted.
    #[command(subcommand)]
    Certificate(CertificateCommand),
    /// Look at the queue of the running gateway, and put it in order.
    ///
    /// Who may open the gateway's control socket may do all of this: its own user, and root. What is done is logged, with
    /// the user id of who did it.
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Look at the certificate revocation lists in use, and read them anew.
    ///
    /// Asks the running gateway; where there is none, the command reads the lists itself.
    #[command(subcommand)]
    Crl(CrlCommand),
    /// Ask directories as sessions do, look everybody's certificate up, and look after the running gateway's servers.
    #[command(subcommand)]
    Directory(DirectoryCommand),
    /// Show what sessions came to by day, listener and policy, and when it is safe to enforce a monitored rule.
    ///
    /// Asks the running gateway; where there is none, reads what the last one counted.
    Report(ReportArguments),
    /// Show what TLS sessions came to by day, recipient domain and policy: what is reported to these domains (RFC 8460).
    ///
    /// Asks the running gateway; where there is none, reads what the last one counted. Days whose reports are sent are
    /// not kept.
    TlsReport(TlsReportArguments),
    /// Look after the spool itself, whatever waits in it.
    #[command(subcommand)]
    Spool(SpoolCommand),
    /// Make a password hash (Argon2id) for a people file, or a SCRAM verifier.
    ///
    /// The password is asked for on a terminal, and read as one line from standard input elsewhere.
    Password(PasswordForm),
    /// DKIM keys.
    #[command(subcommand)]
    Dkim(DkimCommand),
    /// The field that tells the next hop by whom a message was handed in: its key, and whether it is genuine.
    #[command(subcommand)]
    Identity(IdentityCommand),
    /// Print shell completions.
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
    /// Write manual pages, one for each command.
    Manual {
        /// Where to; made when absent.
        #[arg(value_hint = ValueHint::DirPath)]
        dir: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PasswordForm {
    /// A verifier for SCRAM-SHA-256, which serves PLAIN and LOGIN as well.
    #[arg(long)]
    pub(crate) scram: bool,
    /// How dear a guess at the verifier is, and a login to the client: 4096 to 1000000.
    #[arg(long, value_name = "NUMBER", requires = "scram", default_value_t = directory::ScramVerifier::ITERATIONS)]
    pub(crate) iterations: std::num::NonZeroU32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SpoolCommand {
    /// Check every record and every message in the spool, and name what is damaged.
    ///
    /// Reads everything and changes nothing. Beside a running gateway it checks what was there when it began.
    ///
    /// Exits with 0 when all is as it was written, with 2 when something is damaged, with 1 when it cannot be read.
    Verify(SpoolVerify),
}

#[derive(Debug, Args)]
pub(crate) struct SpoolVerify {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// The gateway's state folder, instead of the one that the configuration names.
    #[arg(long, value_name = "DIR", conflicts_with = "config", value_hint = ValueHint::DirPath)]
    pub(crate) state_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CertificateCommand {
    /// Show everything in a certificate, with the tokens that a query could use.
    Show {
        /// PEM or DER; of several certificates each is shown, tokens for the first.
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Verify a certificate under a trust: each path tried, why it failed, and the revocation status.
    ///
    /// Exits with 0 when it is valid and not revoked, with 2 when it is not.
    Verify {
        /// The certificate first, then what the client sends with it; PEM or DER.
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        #[command(flatten)]
        config: ConfigFile,
        /// The trust's name in the configuration.
        #[arg(long, value_name = "NAME")]
        trust: String,
        /// As if it were this instant: 2026-11-24T12:00:00Z.
        #[arg(long, value_name = "TIME", value_parser = instant)]
        at: Option<pki::Time>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// List messages, the oldest first: who waits, for what reason, and until when.
    List {
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        filter: QueueFilter,
        /// At most so many.
        #[arg(long, value_name = "NUMBER", default_value_t = 100)]
        limit: usize,
        /// Print a line of JSON for each message.
        #[arg(long)]
        json: bool,
    },
    /// Show all about one message.
    Show {
        /// Its id.
        id: spool::MessageId,
        #[command(flatten)]
        config: ConfigFile,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Count who waits, by domain and age in minutes.
    Summary {
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        filter: QueueFilter,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Try messages now, those too whose destination is down.
    Retry(QueueOrder),
    /// Hold messages: they are not tried until they are released.
    Hold(QueueOrder),
    /// Release what is held.
    Release(QueueOrder),
    /// Give messages up, and tell their senders.
    Bounce(QueueOrder),
    /// Give messages up, and tell nobody.
    Delete(QueueOrder),
    /// Write a message and its envelope into two new files, ID.eml and ID.envelope.json; it stays in the queue.
    Export {
        /// Its id.
        id: spool::MessageId,
        #[command(flatten)]
        config: ConfigFile,
        /// Where to.
        #[arg(long, default_value = ".", value_hint = ValueHint::DirPath)]
        dir: PathBuf,
    },
}

/// Which messages of the queue are meant; each condition must hold.
#[derive(Debug, Args)]
pub(crate) struct QueueFilter {
    /// Of this sender, or with this in its address; `<>` for the null sender.
    #[arg(long, value_name = "TEXT")]
    pub(crate) sender: Option<String>,
    /// For this recipient, or with this in its address.
    #[arg(long, value_name = "TEXT")]
    pub(crate) recipient: Option<String>,
    /// For a recipient of this domain.
    #[arg(long, value_name = "NAME")]
    pub(crate) domain: Option<String>,
    /// Accepted this long ago, or longer: 2h, 3days.
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
    pub(crate) older_than: Option<Duration>,
    /// Held ones.
    #[arg(long)]
    pub(crate) held: bool,
    /// Of this id; may be given several times.
    #[arg(long, value_name = "ID")]
    pub(crate) id: Vec<spool::MessageId>,
}

/// What is to be done to which messages.
#[derive(Debug, Args)]
pub(crate) struct QueueOrder {
    /// Ids of messages.
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<spool::MessageId>,
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    #[command(flatten)]
    pub(crate) filter: QueueFilter,
    /// Every message of the queue.
    #[arg(long)]
    pub(crate) all: bool,
    /// Do not ask before messages are given up.
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DkimCommand {
    /// Print what the DNS has to say of a key, for each of its domains, as lines of a zone file.
    Record {
        /// The NAME of [dkim.NAME].
        name: String,
        #[command(flatten)]
        config: ConfigFile,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum IdentityCommand {
    /// Print the public key, as PEM, of the one that [trace] names.
    Key {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Verify a message's Postern-Identity field, and print what it tells.
    ///
    /// Exits with 0 when this key has signed it for this message, with 2 when it has not, with 1 when a file cannot be
    /// read.
    Verify {
        /// The public key, PEM.
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        key: PathBuf,
        /// The message.
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum CrlCommand {
    /// List every source: issuer, entries, age, next update, and what is wrong with it.
    ///
    /// Exits with 1 when something is.
    List {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Show all about one source.
    Show {
        /// The source's name.
        name: String,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Read all sources now, or one, and list them.
    Refresh {
        /// The source's name; all when absent.
        name: Option<String>,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Say whether a serial number stands on a list; exits with 2 when it does.
    Check {
        /// Hexadecimal, with or without colons.
        serial: String,
        #[command(flatten)]
        config: ConfigFile,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DirectoryCommand {
    /// Ask a directory as a session would, and show each step.
    ///
    /// Connects to every server, binds, and looks the schema and the bases up; then asks whose the certificate or the user
    /// name is: the filters as they were sent, the server that answered and its time, the entry, and in words what a
    /// session would do. Needs no gateway that runs, and of the configuration only that directory.
    ///
    /// Exits with 0 when all is well and the answer is one person who would be let in, with 2 when the answer is no, with
    /// 1 when a server or the directory cannot answer.
    Test(DirectoryTest),
    /// Walk over everybody in a directory: whose certificate is expired, revoked, invalid, somebody else's, or missing.
    ///
    /// Reads the certificates that the entries hold (userCertificate) and judges each as a session would: path, revocation,
    /// and whom the certificate query finds by it. Who holds several is as well off as with the best of them. Entries
    /// that only describe a card (caccn, cacserial …) hold no certificate that could be judged, and are told as such. Who
    /// has neither is missing, unless the allowance lets a password do.
    ///
    /// Exits with 0 when nobody needs attention, with 2 when somebody does, with 1 when not everybody could be judged.
    Audit(DirectoryAudit),
    /// Show how the running gateway's directory servers fare, and what it remembers of them.
    ///
    /// Exits with 1 when a server is down, or no gateway runs.
    Status {
        #[command(flatten)]
        config: ConfigFile,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Let the running gateway forget what directory servers answered.
    Flush {
        /// The directory's name; all when absent.
        name: Option<String>,
        #[command(flatten)]
        config: ConfigFile,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DirectoryTest {
    /// The directory's name in the configuration.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// Ask whose certificate this is; PEM or DER, the first of several.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) certificate: Option<PathBuf>,
    /// Ask whose user name this is. Without a password, the right one is supposed.
    #[arg(long, value_name = "NAME", conflicts_with = "certificate")]
    pub(crate) user: Option<String>,
    /// Ask for the user's password on the terminal, and let the directory prove it.
    #[arg(long, requires = "user")]
    pub(crate) password: bool,
    /// Let the directory prove the password on the first line of this file.
    #[arg(long, value_name = "FILE", requires = "user", conflicts_with = "password", value_hint = ValueHint::FilePath)]
    pub(crate) password_file: Option<PathBuf>,
    /// As if it were this instant: 2026-11-24T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(crate) at: Option<pki::Time>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DirectoryAudit {
    /// The directory's name in the configuration.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// The trust by which certificates are judged.
    #[arg(long, value_name = "NAME")]
    pub(crate) trust: String,
    /// Certificates that end within this time are told.
    #[arg(long, value_name = "SPAN", default_value = "30d", value_parser = humantime::parse_duration)]
    pub(crate) expiring: Duration,
    /// Write a line for everybody as CSV; `-` is standard output.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) csv: Option<PathBuf>,
    /// Write everybody with each of their certificates as JSON; `-` is standard output.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) json: Option<PathBuf>,
    /// Only people who match this filter (RFC 4515); when absent, all whom the SMTP AUTH query could find.
    #[arg(long, value_name = "FILTER")]
    pub(crate) filter: Option<String>,
    /// Only people below this name; when absent, below the directory's bases.
    #[arg(long, value_name = "DN")]
    pub(crate) base: Option<String>,
    /// As if it were this instant: 2026-11-24T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(crate) at: Option<pki::Time>,
}

fn host_name(text: &str) -> Result<policy::HostName, String> {
    policy::HostName::parse(text).ok_or_else(|| "not a host's name: write mail.example.mil".to_owned())
}

fn instant(text: &str) -> Result<pki::Time, String> {
    pki::Time::from_rfc3339(text).ok_or_else(|| "not an instant: write 2026-11-24T12:00:00Z".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct ConfigFile {
    /// The configuration file; relative paths in it start from its folder.
    #[arg(long, short, value_name = "FILE", default_value = "/etc/postern/postern.toml", value_hint = ValueHint::FilePath)]
    pub(crate) config: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// Connect to directory servers too, and look at their schema and bases; and to those that know passwords.
    #[arg(long)]
    pub(crate) connect: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// The demo's folder: `pki/`, `delivered/`, `people.toml`, `postern.toml`. Made when absent, used again when it is
    /// a demo's.
    #[arg(long, default_value = "postern-demo", value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
    /// Port for STARTTLS; a free one when 0.
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    pub(crate) starttls_port: u16,
    /// Port for implicit TLS; a free one when 0.
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    pub(crate) implicit_port: u16,
    /// Stop after the tour: exits with 0 when every row went as it should.
    #[arg(long)]
    pub(crate) tour_only: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RouteArguments {
    /// The recipient's address.
    pub(crate) address: String,
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// The mail's sender: MAIL FROM.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) sender: Option<String>,
    /// The user id of who sends it.
    #[arg(long, value_name = "USER")]
    pub(crate) identity: Option<String>,
    /// The listener that it came in by.
    #[arg(long, value_name = "NAME")]
    pub(crate) listener: Option<String>,
    /// The mail flow policy that it came in under.
    #[arg(long, value_name = "NAME")]
    pub(crate) policy: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TlsReportArguments {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// Print JSON: days, in them domains, in these the `policies` of a report.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// The last so many days, today included.
    #[arg(long, value_name = "SPAN", default_value = "7d", value_parser = humantime::parse_duration)]
    pub(crate) since: Duration,
    /// Only this listener.
    #[arg(long, value_name = "NAME")]
    pub(crate) listener: Option<String>,
    /// Only this policy.
    #[arg(long, value_name = "NAME")]
    pub(crate) policy: Option<String>,
    /// Tell at most so many who would be refused, of each listener and policy.
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub(crate) top: usize,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Also draw the sessions by day.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) svg: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Simulate {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// The log, as lines of JSON; `-` is standard input. May be named several times, the oldest first.
    #[arg(long, value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) log: Vec<PathBuf>,
    /// Ask lists, responders, directories and DNS where the log cannot tell, about each session's instant or that of --at.
    #[arg(long)]
    pub(crate) live: bool,
    /// As if everybody were asked at this instant: 2026-11-24T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = instant, requires = "live")]
    pub(crate) at: Option<pki::Time>,
    /// Sessions that are listed one by one.
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    pub(crate) limit: usize,
    /// Print a line of JSON for each session that would change or cannot be told, and a summary.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// The listener's name.
    #[arg(long, value_name = "NAME", required_unless_present = "session")]
    pub(crate) listener: Option<String>,
    /// The client's address.
    #[arg(long, value_name = "ADDRESS", required_unless_present = "session")]
    pub(crate) client: Option<IpAddr>,
    /// A session of the log, by the id that each of its lines has.
    #[arg(long, value_name = "ID", requires = "log", conflicts_with_all = ["listener", "client", "client_name", "certificate", "user", "sender", "recipient", "without_tls", "compare"])]
    pub(crate) session: Option<session::SessionId>,
    /// The log, as lines of JSON; `-` is standard input. May be named several times.
    #[arg(long, value_name = "FILE", requires = "session", value_hint = ValueHint::FilePath)]
    pub(crate) log: Vec<PathBuf>,
    /// Ask lists, responders, directories and DNS again, about the session's instant or that of --at.
    #[arg(long, requires = "session")]
    pub(crate) live: bool,
    /// As if it were this instant: 2026-11-24T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(crate) at: Option<pki::Time>,
    /// The same under this configuration too. Exits with 0 when both decide alike, with 2 when they do not.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) compare: Option<PathBuf>,
    /// Suppose that DNS confirms this name of the client's address; looked up when absent and needed.
    #[arg(long, value_name = "NAME", value_parser = host_name)]
    pub(crate) client_name: Option<policy::HostName>,
    /// The client's certificate and chain, PEM; none shown when absent.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) certificate: Option<PathBuf>,
    /// Suppose that this user gives the right password.
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// By this mechanism; the profile's first when absent.
    #[arg(long, value_name = "NAME", requires = "user")]
    pub(crate) mechanism: Option<auth::Mechanism>,
    /// MAIL FROM, to see whether the identity may use it.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) sender: Option<String>,
    /// The header's From, to see whether the identity may write so; again for each From field.
    #[arg(long, value_name = "VALUE")]
    pub(crate) from_header: Vec<String>,
    /// The header's Sender, beside --from-header.
    #[arg(long, value_name = "VALUE", requires = "from_header")]
    pub(crate) sender_header: Option<String>,
    /// RCPT TO, to see whether the client may send there.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) recipient: Option<String>,
    /// Suppose a connection without TLS.
    #[arg(long, conflicts_with = "certificate")]
    pub(crate) without_tls: bool,
}
