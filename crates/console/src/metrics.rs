//! The metrics, by name. Labels have few values each: names from the configuration, and words of our own.

use std::fmt;

use pki::Time;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::sources::Sources;

/// Characters of a label's value: the configuration's names are shorter.
const MAX_LABEL: usize = 200;

/// All metrics in OpenMetrics' text form.
pub(crate) fn text(sources: &Sources) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("postern");
    registry.register_collector(Box::new(Gathered { sources: sources.clone() }));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// What is asked at each scrape.
struct Gathered {
    sources: Sources,
}

impl fmt::Debug for Gathered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gathered").finish_non_exhaustive()
    }
}

impl Collector for Gathered {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(&mut encoder);
        self.sessions(&mut out)?;
        self.queue(&mut out)?;
        self.lists(&mut out)?;
        self.directories(&mut out)
    }
}

type Labels<'a> = [(&'a str, &'a str)];

struct Out<'e, 'd>(&'e mut DescriptorEncoder<'d>);

impl Out<'_, '_> {
    fn one_gauge(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: f64) -> fmt::Result {
        self.gauges(name, help, unit, [(Vec::new(), value)])
    }

    fn gauges<'l>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        rows: impl IntoIterator<Item = (Vec<(&'l str, &'l str)>, f64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        rows.into_iter().try_for_each(|(labels, value)| with(&mut metric, &labels, |row| row.encode_gauge(&value)))
    }

    fn counters<'l>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (Vec<(&'l str, &'l str)>, u64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        rows.into_iter().try_for_each(|(labels, value)| {
            with(&mut metric, &labels, |row| row.encode_counter::<NoLabelSet, u64, f64>(&value, None))
        })
    }
}

fn with(
    metric: &mut MetricEncoder<'_>,
    labels: &Labels<'_>,
    encode: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result {
    if labels.is_empty() {
        return encode(metric);
    }
    let labels: Vec<(&str, String)> =
        labels.iter().map(|(name, value)| (*name, value.chars().take(MAX_LABEL).collect())).collect();
    encode(&mut metric.encode_family(&labels)?)
}

impl Gathered {
    fn sessions(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let now = f64::from(self.sources.connections.count());
        out.one_gauge("connections", "Connections of clients now", None, now)?;
        let totals = self.sources.statistics.totals();
        let rows = totals.iter().map(|total| {
            let labels = vec![
                ("listener", total.listener.as_str()),
                ("policy", total.policy.as_str()),
                ("what", total.what),
                ("rule", total.rule.as_deref().unwrap_or_default()),
                ("reason", &*total.reason),
            ];
            (labels, total.count)
        });
        out.counters("events", "What sessions came to, in the words of `postern report`", rows)
    }

    fn queue(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let counters = self.sources.spool.counters();
        out.one_gauge("queue_held", "Messages held until they are released", None, counters.held as f64)?;
        let help = "Messages whose every recipient still waiting has been tried";
        out.one_gauge("queue_to_be_retried", help, None, counters.to_be_retried as f64)?;
        let oldest = counters.oldest_age.unwrap_or_default().as_secs_f64();
        out.one_gauge("queue_oldest_age", "Of the oldest message in the queue", Some(&Unit::Seconds), oldest)?;
        out.one_gauge("queue_messages", "Messages accepted and not yet dealt with", None, counters.messages as f64)?;
        out.one_gauge(
            "queue_live",
            "Of messages in the queue, in the log",
            Some(&Unit::Bytes),
            counters.live_octets as f64,
        )?;
        out.one_gauge("queue_disk", "Of the log on disk", Some(&Unit::Bytes), counters.disk_octets as f64)?;
        let outcomes =
            [("delivered", counters.delivered), ("deferred", counters.deferred), ("failed", counters.failed)];
        let rows = outcomes.iter().map(|(outcome, count)| (vec![("outcome", *outcome)], *count));
        out.counters("deliveries", "Attempts for one recipient, by what came of them", rows)?;
        out.counters("notices", "Notices to senders", [(Vec::new(), counters.notices)])?;
        out.counters("quarantined", "Messages found damaged and put aside", [(Vec::new(), counters.quarantined)])
    }

    fn lists(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let sources = self.sources.crls.status();
        let configured = || sources.iter().filter(|source| !source.followed);
        let seconds = |time: Time| time.unix() as f64;
        let expiry = configured().filter_map(|source| {
            let next = source.lists.iter().filter_map(|list| list.next_update).min()?;
            Some((vec![("source", source.name.as_str())], seconds(next)))
        });
        let help = "When the next list is due, of each source the first";
        out.gauges("crl_next_update_timestamp", help, Some(&Unit::Seconds), expiry)?;
        let looked = configured().filter_map(|source| {
            let (at, _) = source.fetched_at.as_ref()?;
            Some((vec![("source", source.name.as_str())], seconds(*at)))
        });
        out.gauges("crl_fetched_timestamp", "When a list was last read with success", Some(&Unit::Seconds), looked)?;
        let failing = configured()
            .map(|source| (vec![("source", source.name.as_str())], f64::from(u8::from(source.last_error.is_some()))));
        out.gauges("crl_failing", "1 while the last look at a source failed", None, failing)?;
        let entries = configured().map(|source| {
            (vec![("source", source.name.as_str())], source.lists.iter().map(|list| list.entries).sum::<usize>() as f64)
        });
        out.gauges("crl_entries", "Certificates that its lists have", None, entries)
    }

    fn directories(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let healths: Vec<_> =
            self.sources.directories.iter().map(|directory| (directory.name(), directory.health())).collect();
        let servers = || healths.iter().flat_map(|(name, servers)| servers.iter().map(move |server| (*name, server)));
        let up = servers().map(|(name, server)| {
            (vec![("directory", name), ("server", server.server.as_str())], f64::from(u8::from(server.down.is_none())))
        });
        out.gauges("directory_server_up", "0 while a server is not asked because it failed", None, up)?;
        let searches = servers()
            .map(|(name, server)| (vec![("directory", name), ("server", server.server.as_str())], server.searches));
        out.counters("directory_searches", "Searches sent to a server", searches)?;
        let failures = servers()
            .map(|(name, server)| (vec![("directory", name), ("server", server.server.as_str())], server.failures));
        out.counters("directory_failures", "Connections that could not be made, and silences", failures)
    }
}
