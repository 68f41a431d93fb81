//! Metrics of a process, as a page for Prometheus.
//!
//! A process says at each scrape what its own figures are; nothing is kept here but those that every
//! process has. Never waits, and never holds a lock while the page is written.
//!
//! Prometheus has two formats. A scraper that accepts OpenMetrics gets it. Anything else, `curl` and
//! `promtool check metrics` included, gets the older text format, which names a counter with its
//! `_total` in the lines about its type and meaning too.

use std::fmt::{self, Debug};
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::service::process;
use crate::service::telemetry;

/// The content type of the text format.
pub(super) const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The content type of the other format.
pub(super) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The figures of this process, to be scraped.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Registry>);

impl Metrics {
    /// The figures that `own` writes at each scrape, and those that every process has.
    pub fn new(
        version: &'static str,
        is_ready: impl Fn() -> bool + Send + Sync + 'static,
        own: impl Fn(&mut Page<'_>) -> fmt::Result + Send + Sync + 'static,
    ) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Figures(move |page: &mut Page<'_>| {
            own(page)?;
            common(page, version, is_ready())
        })));
        Self(Arc::new(registry))
    }

    pub(super) fn open_metrics(&self) -> String {
        let mut page = String::new();
        encode(&mut page, &self.0).expect("a string takes any text");
        page
    }

    pub(super) fn text(&self) -> String {
        in_text_format(&self.open_metrics())
    }
}

/// What both programs have in common. The names of a process's figures are those of every
/// Prometheus client library.
fn common(page: &mut Page<'_>, version: &str, is_ready: bool) -> fmt::Result {
    page.gauges(
        "ghibli_build_info",
        "The version of this program. Always 1",
        [([("version", version)], 1u64)],
    )?;
    page.gauge(
        "ghibli_ready",
        "Whether /readyz answers 200",
        u64::from(is_ready),
    )?;
    page.counter(
        "ghibli_log_lines_lost",
        "Log lines that could not be written",
        telemetry::lost_lines(),
    )?;
    if let Some(usage) = process::usage() {
        page.gauge(
            "process_resident_memory_bytes",
            "Resident memory",
            usage.resident,
        )?;
        page.counter(
            "process_cpu_seconds",
            "Processor time, of user and system",
            usage.cpu,
        )?;
        page.gauge(
            "process_start_time_seconds",
            "When the process started, in Unix time",
            usage.started,
        )?;
    }
    if let Some(files) = process::open_files() {
        page.gauge("process_open_fds", "Open files and sockets", files)?;
    }
    Ok(())
}

/// The page that a scrape gets. One call for each metric; names of counters have no `_total` here,
/// because the format adds it.
pub struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    /// Writes a counter without labels.
    ///
    /// # Errors
    /// None, as long as the page is in memory.
    pub fn counter(
        &mut self,
        name: &str,
        help: &str,
        value: impl EncodeCounterValue + Copy,
    ) -> fmt::Result {
        let mut metric = self.metric(name, help, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, f64>(&value, None)
    }

    /// Writes a counter for each set of labels.
    ///
    /// # Errors
    /// None, as long as the page is in memory.
    pub fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'static str, &'static str); N], u64)>,
    ) -> fmt::Result {
        let mut metric = self.metric(name, help, MetricType::Counter)?;
        for (labels, value) in values {
            let mut one = metric.encode_family(&labels)?;
            one.encode_counter::<NoLabelSet, _, f64>(&value, None)?;
        }
        Ok(())
    }

    /// Writes a gauge without labels.
    ///
    /// # Errors
    /// None, as long as the page is in memory.
    pub fn gauge(
        &mut self,
        name: &str,
        help: &str,
        value: impl EncodeGaugeValue + Copy,
    ) -> fmt::Result {
        let mut metric = self.metric(name, help, MetricType::Gauge)?;
        metric.encode_gauge(&value)
    }

    /// Writes a gauge for each set of labels.
    ///
    /// # Errors
    /// None, as long as the page is in memory.
    pub fn gauges<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'static str, &'l str); N], impl EncodeGaugeValue)>,
    ) -> fmt::Result {
        let mut metric = self.metric(name, help, MetricType::Gauge)?;
        for (labels, value) in values {
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// Writes a histogram. `counts` has one entry more than `bounds`: the values above all of them.
    ///
    /// # Errors
    /// None, as long as the page is in memory.
    pub fn histogram(
        &mut self,
        name: &str,
        help: &str,
        bounds: &[f64],
        counts: &[u64],
        sum: f64,
    ) -> fmt::Result {
        let bounds = bounds.iter().copied().chain([f64::MAX]);
        let buckets: Vec<_> = bounds.zip(counts.iter().copied()).collect();
        let mut metric = self.metric(name, help, MetricType::Histogram)?;
        metric.encode_histogram::<NoLabelSet>(sum, counts.iter().sum(), &buckets, None)
    }

    fn metric<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        // The library ends the sentence.
        self.0
            .encode_descriptor(name, &format!("{help}."), None, kind)
    }
}

/// Writes its figures at each scrape.
struct Figures<F>(F);

impl<F> Debug for Figures<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Figures")
    }
}

impl<F: Fn(&mut Page<'_>) -> fmt::Result + Send + Sync + 'static> Collector for Figures<F> {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        (self.0)(&mut Page(encoder))
    }
}

/// Rewrites OpenMetrics in the older format.
fn in_text_format(open_metrics: &str) -> String {
    let mut page = String::with_capacity(open_metrics.len() + 1024);
    let mut help = "";
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or((rest, "untyped"));
            let (_, help) = help.split_once(' ').unwrap_or_default();
            let suffix = if kind == "counter" { "_total" } else { "" };
            let name = [name, suffix].concat();
            page.extend([
                "# HELP ",
                &name,
                " ",
                help,
                "\n# TYPE ",
                &name,
                " ",
                kind,
                "\n",
            ]);
        } else if !line.starts_with('#') {
            page.extend([line, "\n"]);
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_name_each_metric_as_the_format_wants_it() {
        let metrics = Metrics::new(
            "1.2.3",
            || true,
            |page| {
                page.counters("a", "Some", [([("kind", "x")], 1), ([("kind", "y")], 2)])?;
                page.histogram("b_seconds", "Times", &[0.5, 1.0], &[3, 0, 1], 7.5)
            },
        );
        let open = metrics.open_metrics();
        let text = metrics.text();
        assert!(open.starts_with("# HELP a Some.\n# TYPE a counter\na_total{kind=\"x\"} 1\n"));
        assert!(open.ends_with("# EOF\n"));
        assert!(
            text.starts_with(
                "# HELP a_total Some.\n# TYPE a_total counter\na_total{kind=\"x\"} 1\n"
            ),
            "{text}"
        );
        assert!(!text.contains("# EOF"));
        for page in [&open, &text] {
            for line in [
                "a_total{kind=\"y\"} 2\n",
                "b_seconds_bucket{le=\"0.5\"} 3\nb_seconds_bucket{le=\"1.0\"} 3\n",
                "b_seconds_bucket{le=\"+Inf\"} 4\n",
                "b_seconds_sum 7.5\nb_seconds_count 4\n",
                "ghibli_build_info{version=\"1.2.3\"} 1\n",
                "ghibli_ready 1\n",
            ] {
                assert!(page.contains(line), "{line} in {page}");
            }
        }
    }
}
