//! What big revocation lists cost: loading, memory and lookups, beside rustls-webpki's owned list and `openssl` in the
//! same run on the same machine; and what a judgement costs, cached and not.
//!
//! ```sh
//! cargo run --release -p postern-pki --example crl_bench -- 1000000 5000000
//! ```
//!
//! Needs the `openssl` command and some 50 octets of disk an entry. Linux only: memory is read from /proc.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use postern_pki::{
    Certificate, Crl, CrlSettings, CrlSourceSettings, CrlStore, Fetcher, Location, Revocation, RevocationMethod,
    Serial, Time, Trust, TrustSettings,
};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["ours", list, issuer] => ours(Path::new(list), Path::new(issuer)),
        ["webpki", list, _] => webpki(Path::new(list)),
        ["lookups", list, entries] => lookups(Path::new(list), entries.parse()?),
        [] => compare(&[1_000_000]),
        counts => compare(&counts.iter().map(|count| count.parse()).collect::<Result<Vec<usize>, _>>()?),
    }
}

/// Each in a process of its own, so that memory is its own.
fn compare(counts: &[usize]) -> Outcome<()> {
    let folder = std::env::temp_dir().join(format!("crl-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let outcome = compare_in(&folder, counts);
    std::fs::remove_dir_all(&folder)?;
    outcome
}

fn compare_in(folder: &Path, counts: &[usize]) -> Outcome<()> {
    let issuer = Issuer::make(folder)?;
    std::fs::write(folder.join("small.crl"), issuer.list(1000)?)?;
    println!("| entries | what | seconds | of CPU | memory kept, octets an entry | peak above start, MB | note |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for &count in counts {
        let list = folder.join(format!("{count}.crl"));
        std::fs::write(&list, issuer.list(count)?)?;
        let row = |what: &str, text: &str| println!("| {count} | {what} {text}");
        let [list_text, issuer_text] = [&list, &issuer.certificate].map(|path| path.to_string_lossy().into_owned());
        for what in ["ours", "webpki"] {
            row(what, &itself(&[what, &list_text, &issuer_text])?);
        }
        let openssl = ["crl", "-inform", "DER", "-in", &list_text, "-CAfile", &issuer_text, "-noout"];
        row("openssl", &watched(Command::new("openssl").args(openssl), count)?);
        row("lookups", &itself(&["lookups", &list_text, &count.to_string()])?);
    }
    judgements(folder, &issuer)
}

fn itself(arguments: &[&str]) -> Outcome<String> {
    let output = Command::new(std::env::current_exe()?).args(arguments).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{arguments:?} failed").into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Loads the list as the gateway does: read, parsed, verified, ready for lookups.
fn ours(list: &Path, issuer: &Path) -> Outcome<()> {
    let issuers = Certificate::from_file(issuer)?;
    // A small one first, so that the code itself is in memory already.
    drop(CrlStore::open(&settings(&list.with_file_name("small.crl")), issuers.clone(), Fetcher::local(), None)?);
    let before = memory("VmRSS", std::process::id())?;
    let begun = Instant::now();
    let store = CrlStore::open(&settings(list), issuers, Fetcher::local(), None)?;
    report(
        begun.elapsed(),
        before,
        store.status().iter().flat_map(|source| &source.lists).map(|list| list.entries).sum(),
    )
}

/// rustls-webpki keeps an owned list; it verifies the signature anew at each use, so that is not in here.
fn webpki(list: &Path) -> Outcome<()> {
    let before = memory("VmRSS", std::process::id())?;
    let begun = Instant::now();
    let der = std::fs::read(list)?;
    let owned = webpki::BorrowedCertRevocationList::from_der(&der)?.to_owned()?;
    drop(der);
    let taken = begun.elapsed();
    let owned: webpki::CertRevocationList<'_> = owned.into();
    // About 42 octets an entry of these lists.
    let entries = usize::try_from(std::fs::metadata(list)?.len())? / 42;
    report(taken, before, entries)?;
    drop(owned);
    Ok(())
}

fn report(taken: Duration, before: u64, entries: usize) -> Outcome<()> {
    let after = memory("VmRSS", std::process::id())?;
    let peak = memory("VmHWM", std::process::id())?;
    let kept = after.saturating_sub(before) as f64 / entries.max(1) as f64;
    let peak = peak.saturating_sub(before) as f64 / 1e6;
    println!("| {:.3} | {:.3} | {kept:.1} | {peak:.0} | |", taken.as_secs_f64(), cpu_seconds(std::process::id())?);
    Ok(())
}

/// Another program, from start to end.
fn watched(command: &mut Command, entries: usize) -> Outcome<String> {
    let begun = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let (mut peak, mut cpu) = (0, 0.0);
    let status = loop {
        peak = peak.max(memory("VmHWM", child.id()).unwrap_or(0));
        cpu = cpu_seconds(child.id()).unwrap_or(cpu);
        match child.try_wait()? {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let taken = begun.elapsed().as_secs_f64();
    let note = if status.success() { "the whole process" } else { "it failed" };
    let per_entry = peak as f64 / entries.max(1) as f64;
    Ok(format!("| {taken:.3} | {cpu:.3} | {per_entry:.1} | {:.0} | {note} |", peak as f64 / 1e6))
}

fn lookups(list: &Path, entries: usize) -> Outcome<()> {
    let list = Crl::from_der(&std::fs::read(list)?)?;
    const BATCH: usize = 8;
    let mut times = Vec::new();
    let mut found = 0;
    for round in 0..20_000_usize {
        // Scattered over the list, half of them not in it.
        let serials: Vec<Serial> = (0..BATCH)
            .map(|at| {
                let number = (round * BATCH + at).wrapping_mul(2_654_435_761) % entries;
                serial(if at % 2 == 0 { number } else { number + entries })
            })
            .collect();
        let begun = Instant::now();
        found += serials.iter().filter(|serial| list.lists(serial)).count();
        times.push(begun.elapsed().as_nanos() / BATCH as u128);
    }
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
    let note = format!("median {} ns, 99 % {} ns, {found} found", at(50), at(99));
    println!("| | | | {note} |");
    Ok(())
}

/// What judging one client costs.
fn judgements(folder: &Path, issuer: &Issuer) -> Outcome<()> {
    let list = folder.join("small.crl");
    let mut trust_settings = TrustSettings::with_anchors(vec![issuer.certificate.clone()]);
    trust_settings.revocation = vec![RevocationMethod::Crl];
    let chain = issuer.client(folder)?;
    let store = CrlStore::open(&settings(&list), Certificate::from_file(&issuer.certificate)?, Fetcher::local(), None)?;
    let mut cold = Vec::new();
    let mut warm = Vec::new();
    let now = Time::now();
    for _ in 0..300 {
        let trust = Trust::load("bench", &trust_settings)?;
        let begun = Instant::now();
        let verdict = trust.verify(&chain, &store, now);
        cold.push(begun.elapsed().as_nanos());
        if !matches!(verdict.revocation, Revocation::Good { .. }) {
            return Err(format!("the client is not good: {verdict:?}").into());
        }
        for _ in 0..100 {
            let begun = Instant::now();
            let again = trust.verify(&chain, &store, now);
            warm.push(begun.elapsed().as_nanos());
            drop(again);
        }
    }
    for (what, times) in [("judged anew", &mut cold), ("from the cache", &mut warm)] {
        times.sort_unstable();
        let median = times.get(times.len() / 2).copied().unwrap_or_default();
        println!("| | one client, {what} | | | | | median {median} ns |");
    }
    Ok(())
}

fn settings(list: &Path) -> CrlSettings {
    let source = CrlSourceSettings {
        name: "bench".to_owned(),
        format: Default::default(),
        primary: Location::file(list),
        secondary: None,
        schedule: Default::default(),
        enabled: true,
    };
    CrlSettings { source: vec![source], ..CrlSettings::default() }
}

/// A line of /proc/PID/status, in octets.
fn memory(line: &str, pid: u32) -> Outcome<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':')).ok_or("no such line")?;
    Ok(value.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

/// Of all threads so far; in hundredths, which is what the kernel counts for everybody to read.
fn cpu_seconds(pid: u32) -> Outcome<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no such file")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / 100.0)
}

/// Sixteen octets that look random and are the same in each run.
fn serial(number: usize) -> Serial {
    let mut state = number as u64;
    let mut octets = Vec::with_capacity(16);
    for _ in 0..2 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        octets.extend((word ^ (word >> 31)).to_be_bytes());
    }
    if let Some(first) = octets.first_mut() {
        *first = *first & 0x3f | 0x40;
    }
    Serial::from_octets(&octets)
}

/// A CA made by openssl, whose lists are made here, for openssl would take minutes.
struct Issuer {
    certificate: PathBuf,
    name: Vec<u8>,
    key: EcdsaKeyPair,
}

impl Issuer {
    fn make(folder: &Path) -> Outcome<Self> {
        let key = "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ca.key";
        let certificate =
            "req -x509 -new -key ca.key -subj /CN=bench -days 30 -out ca.pem -addext keyUsage=keyCertSign,cRLSign";
        openssl(folder, key)?;
        openssl(folder, certificate)?;
        openssl(folder, "pkcs8 -topk8 -nocrypt -in ca.key -outform DER -out ca.p8")?;
        let certificate = folder.join("ca.pem");
        let parsed = Certificate::from_file(&certificate)?;
        let name = parsed.first().ok_or("no certificate")?.subject().der().to_vec();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &std::fs::read(folder.join("ca.p8"))?)?;
        Ok(Self { certificate, name, key })
    }

    fn client(&self, folder: &Path) -> Outcome<Vec<Certificate>> {
        openssl(folder, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out client.key")?;
        openssl(folder, "req -new -key client.key -subj /CN=client -out client.csr")?;
        openssl(folder, "x509 -req -in client.csr -CA ca.pem -CAkey ca.key -days 29 -set_serial 7 -out client.pem")?;
        Ok(Certificate::from_file(&folder.join("client.pem"))?)
    }

    /// Half of the entries with a reason: 42 octets each on average.
    fn list(&self, count: usize) -> Outcome<Vec<u8>> {
        const ALGORITHM: &[u8] = &[0x30, 10, 0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
        let date = tlv(0x17, b"260101000000Z");
        let reason = [0x30, 12, 0x30, 10, 0x06, 3, 0x55, 29, 21, 0x04, 3, 0x0a, 1, 1];
        let mut entries = Vec::with_capacity(count * 43);
        for number in 0..count {
            let serial = tlv(0x02, serial(number).octets());
            let reason = if number % 2 == 0 { &reason[..] } else { &[] };
            entries.extend(tlv(0x30, &[&serial, &date, reason].concat()));
        }
        let this_update = Time::from_unix(Time::now().unix() - 60);
        let next_update = this_update.plus(Duration::from_secs(86_400));
        let number = [0xa0, 14, 0x30, 12, 0x30, 10, 0x06, 3, 0x55, 29, 20, 0x04, 3, 0x02, 1, 1];
        let fields = [
            &tlv(0x02, &[1])[..],
            ALGORITHM,
            &self.name,
            &tlv(0x18, generalized(this_update)?.as_bytes()),
            &tlv(0x18, generalized(next_update)?.as_bytes()),
            &tlv(0x30, &entries),
            &number,
        ];
        let tbs = tlv(0x30, &fields.concat());
        let signature = self.key.sign(&SystemRandom::new(), &tbs)?;
        let signature = tlv(0x03, &[&[0], signature.as_ref()].concat());
        Ok(tlv(0x30, &[&tbs, ALGORITHM, &signature].concat()))
    }
}

fn generalized(time: Time) -> Outcome<String> {
    let mut text = String::new();
    write!(text, "{time}")?;
    text.retain(|letter| letter.is_ascii_digit() || letter == 'Z');
    Ok(text)
}

fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len() as u32;
    let octets: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|octet| *octet == 0).collect();
    let mut element = vec![tag];
    if length < 0x80 {
        element.push(length as u8);
    } else {
        element.push(0x80 | octets.len() as u8);
        element.extend(octets);
    }
    element.extend(value);
    element
}

fn openssl(folder: &Path, arguments: &str) -> Outcome<()> {
    let output = Command::new("openssl").current_dir(folder).args(arguments.split(' ')).output()?;
    if !output.status.success() {
        return Err(format!("openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(())
}
