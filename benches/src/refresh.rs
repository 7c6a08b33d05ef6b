//! What a refresh of a large CRL does to sessions that run meanwhile: how long one in a hundred takes, with refreshes and
//! without, in turn. The load is far from what the machine can do: under full load everybody waits for everybody.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use demo::pki::ALICE;
use demo::{Ca, ClientTls, Revoked};
use tokio::task::JoinSet;

use crate::Failure;
use crate::gateway::Gateway;
use crate::sessions::conversation;
use crate::stage::{Stage, free_address};
use crate::statistics::median;
use crate::table::{self, Mark};

const ROUNDS: usize = 5;
/// Sessions begun per second.
const PACE: u32 = 100;
/// Certificates on the list, with serial numbers of 16 octets.
const ENTRIES: u32 = 1_000_000;
/// The source is looked at every second; a new list this often is a new list at every look but one.
const REFRESH_INTERVAL: Duration = Duration::from_secs(2);
const MARK: Mark = Mark::AtMost(1.2);

/// Measures and prints.
pub(crate) async fn measure(stage: &Stage, length: Duration) -> Result<(), Failure> {
    // A round must see refreshes, and hundreds of sessions.
    let length = length.max(3 * REFRESH_INTERVAL);
    let per_round = (length.as_secs() / REFRESH_INTERVAL.as_secs()).max(1);
    let folder = stage.dir().join("lists");
    fs::create_dir(&folder)?;
    let count = per_round * ROUNDS as u64;
    println!("Making {count} lists of {ENTRIES} entries …");
    let lists = make_lists(&folder, count)?;
    let mut lists = lists.into_iter();
    let settings = format!(
        "\n[trust.large]\nanchors = [\"{0}/ca.pem\"]\n\n[[crl.source]]\nname = \"large\"\nprimary = \"file://{0}/crl\"\n\
         schedule = \"every 1s\"\n",
        folder.display()
    );
    let gateway = Gateway::start_with(stage, "refresh", free_address()?, &settings).await?;
    let tls = stage.client(ALICE.name)?;
    let mut ratios = Vec::new();
    let mut rows = Vec::new();
    for round in 1..=ROUNDS {
        let quiet = paced(&gateway, &tls, length).await?;
        let refreshing = tokio::spawn({
            let (folder, lists) = (folder.clone(), lists.by_ref().take(per_round as usize).collect::<Vec<_>>());
            async move {
                for list in lists {
                    // In one step, as a careful administrator does.
                    fs::rename(list, folder.join("crl"))?;
                    tokio::time::sleep(REFRESH_INTERVAL).await;
                }
                Ok::<(), std::io::Error>(())
            }
        });
        let busy = paced(&gateway, &tls, length).await?;
        refreshing.await??;
        let (quiet, busy) = (percentiles(quiet), percentiles(busy));
        ratios.push(busy.1 / quiet.1);
        let milliseconds = |seconds: f64| format!("{:.2}", seconds * 1e3);
        rows.push(
            [round.to_string()]
                .into_iter()
                .chain([quiet.0, busy.0, quiet.1, busy.1].map(milliseconds))
                .chain([format!("{:.2}", busy.1 / quiet.1), String::new()])
                .collect(),
        );
    }
    let ratio = median(ratios);
    let mut last = vec!["median".to_owned()];
    last.extend(vec![String::new(); 4]);
    last.extend([format!("{ratio:.2}"), MARK.judge(ratio)]);
    rows.push(last);
    table::print(
        &format!("Sessions beside refreshes of {ENTRIES} entries, {PACE} sessions a second, milliseconds"),
        &["round", "p50 quiet", "p50 refreshing", "p99 quiet", "p99 refreshing", "ratio", "mark"],
        &rows,
    );
    Ok(())
}

/// Lists of one CA, each newer than the one before, in files; and the CA's certificate.
fn make_lists(folder: &Path, count: u64) -> Result<Vec<std::path::PathBuf>, Failure> {
    let ca = Ca::new("Large CA")?;
    fs::write(folder.join("ca.pem"), ca.certificate_pem())?;
    let start = SystemTime::now() - Duration::from_secs(24 * 60 * 60);
    let entries: Vec<Revoked> = (0..ENTRIES)
        .map(|number| {
            // Spread over the whole range, as real serial numbers are.
            let mixed = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) >> 1 | 1 << 126;
            Revoked { serial: mixed.to_be_bytes().to_vec(), at: start, reason: None }
        })
        .collect();
    let until = SystemTime::now() + Duration::from_secs(24 * 60 * 60);
    (0..=count)
        .map(|number| {
            let list = ca.crl(&entries, start + Duration::from_secs(number), until)?;
            let file = folder.join(if number == 0 { "crl".to_owned() } else { format!("crl-{number}") });
            fs::write(&file, &*list)?;
            Ok(file)
        })
        .skip(1)
        .collect()
}

/// Begins sessions at the pace, whatever becomes of those before; how long each took, in seconds.
async fn paced(gateway: &Gateway, tls: &ClientTls, length: Duration) -> Result<Vec<f64>, Failure> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / PACE);
    let began = Instant::now();
    let mut sessions = JoinSet::new();
    while began.elapsed() < length {
        ticks.tick().await;
        let (address, tls) = (gateway.implicit, tls.clone());
        sessions.spawn(async move {
            let began = Instant::now();
            conversation(address, demo::Security::Implicit(&tls)).await?;
            Ok::<f64, Failure>(began.elapsed().as_secs_f64())
        });
    }
    let mut times = Vec::new();
    while let Some(time) = sessions.join_next().await {
        times.push(time??);
    }
    Ok(times)
}

/// The median and the 99th percentile.
fn percentiles(mut times: Vec<f64>) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or(f64::NAN);
    (at(50), at(99))
}
