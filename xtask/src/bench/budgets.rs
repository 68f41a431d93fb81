//! The limits that the mirror shall keep. A limit that it misses stays as it is.

use super::figures::{self, Figures};

/// A figure or a ratio of two, and its limit.
pub(super) struct Budget {
    /// What it is, in words.
    pub(super) name: &'static str,
    measure: Measure,
    limit: Limit,
}

enum Measure {
    /// A figure of this machine.
    Figure(&'static str),
    /// The first figure divided by the second.
    Ratio(&'static str, &'static str),
    /// The same for the slowest answers.
    Tail(&'static str, &'static str),
}

#[derive(Clone, Copy)]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

use Limit::{AtLeast, AtMost};
use Measure::{Figure, Ratio, Tail};

const fn budget(name: &'static str, measure: Measure, limit: Limit) -> Budget {
    Budget {
        name,
        measure,
        limit,
    }
}

/// All budgets.
#[rustfmt::skip]
pub(super) const BUDGETS: &[Budget] = &[
    budget("film: CPU / floor", Ratio("film.mirror.cpu_us", "film.floor.cpu_us"), AtMost(1.40)),
    budget("film: CPU / nginx", Ratio("film.mirror.cpu_us", "film.nginx.cpu_us"), AtMost(0.95)),
    budget("film: CPU / nginx proxy_cache", Ratio("film.mirror.cpu_us", "film.nginx-proxy-cache.cpu_us"), AtMost(0.80)),
    budget("film: CPU / Varnish", Ratio("film.mirror.cpu_us", "film.varnish.cpu_us"), AtMost(0.80)),
    budget("collection: CPU / floor", Ratio("collection.mirror.cpu_us", "collection.floor.cpu_us"), AtMost(1.20)),
    budget("collection: CPU / nginx", Ratio("collection.mirror.cpu_us", "collection.nginx.cpu_us"), AtMost(1.20)),
    budget("compressed: CPU / nginx gzip on", Ratio("compressed.mirror.cpu_us", "compressed.nginx-gzip.cpu_us"), AtMost(0.05)),
    budget("compressed: CPU / nginx gzip_static", Ratio("compressed.mirror.cpu_us", "compressed.nginx-gzip-static.cpu_us"), AtMost(1.10)),
    budget("compressed: bytes / nginx's best", Ratio("compressed.mirror.body_bytes", "compressed.nginx-gzip-static.body_bytes"), AtMost(0.9999)),
    budget("304: CPU / nginx", Ratio("304.mirror.cpu_us", "304.nginx.cpu_us"), AtMost(1.10)),
    budget("/movies: requests/s / reference", Ratio("movies-all-cores.mirror.rate", "movies-all-cores.reference.rate"), AtLeast(60.0)),
    budget("/movies, conditional: body bytes of the 304", Figure("movies-304.mirror.body_bytes"), AtMost(0.0)),
    budget("filtered: CPU / film", Ratio("filtered.mirror.cpu_us", "film.mirror.cpu_us"), AtMost(2.5)),
    budget("limit=5: CPU / film", Ratio("limit.mirror.cpu_us", "film.mirror.cpu_us"), AtMost(4.0)),
    budget("film: requests/s / json-server", Ratio("film.mirror.rate", "film.json-server.rate"), AtLeast(40.0)),
    budget("collection: requests/s / json-server", Ratio("collection.mirror.rate", "collection.json-server.rate"), AtLeast(40.0)),
    budget("compressed: requests/s / json-server", Ratio("compressed.mirror.rate", "compressed.json-server.rate"), AtLeast(40.0)),
    budget("304: requests/s / json-server", Ratio("304.mirror.rate", "304.json-server.rate"), AtLeast(40.0)),
    budget("filtered: requests/s / json-server", Ratio("filtered.mirror.rate", "filtered.json-server.rate"), AtLeast(40.0)),
    budget("limit=5: requests/s / json-server", Ratio("limit.mirror.rate", "limit.json-server.rate"), AtLeast(40.0)),
    budget("film: p99 at 70 % of peak / nginx", Tail("film.mirror.steady_p99_ms", "film.nginx.steady_p99_ms"), AtMost(1.0)),
    budget("collection: p99 at 70 % of peak / nginx", Tail("collection.mirror.steady_p99_ms", "collection.nginx.steady_p99_ms"), AtMost(1.0)),
    budget("crowded: p99 at 70 % of peak / nginx", Tail("crowded.mirror.steady_p99_ms", "crowded.nginx.steady_p99_ms"), AtMost(1.0)),
    budget("reader, idle, Redis: MiB", Figure("idle.reader-redis.rss_mib"), AtMost(10.0)),
    budget("reader, idle, file: MiB", Figure("idle.reader-file.rss_mib"), AtMost(10.0)),
    budget("reader, limit raised: idle connections held", Figure("scale-connections.reader.held"), AtLeast(10_000.0)),
    budget("reader, limit raised, 10,000 idle connections: MiB", Figure("scale-connections.reader.rss_mib"), AtMost(90.0)),
    budget("poller, Redis: MiB", Figure("idle.poller-redis.rss_mib"), AtMost(12.0)),
    budget("poller, file: MiB", Figure("idle.poller-file.rss_mib"), AtMost(12.0)),
    budget("reader, start to ready, Redis: ms", Figure("start.reader.ready_ms"), AtMost(60.0)),
    budget("reader, idle, Redis: CPU ms/s", Figure("idle.reader-redis.cpu_ms_per_s"), AtMost(0.5)),
    budget("reader, idle, file: CPU ms/s", Figure("idle.reader-file.cpu_ms_per_s"), AtMost(0.5)),
    budget("quiet sync, Redis: requests", Figure("sync-quiet.poller-redis.requests"), AtMost(5.0)),
    budget("quiet sync, Redis: unconditional requests", Figure("sync-quiet.poller-redis.unconditional"), AtMost(0.0)),
    budget("quiet sync, Redis: body bytes", Figure("sync-quiet.poller-redis.body_bytes"), AtMost(0.0)),
    budget("quiet sync, Redis: CPU ms", Figure("sync-quiet.poller-redis.cpu_ms"), AtMost(2.0)),
    budget("quiet sync, file: requests", Figure("sync-quiet.poller-file.requests"), AtMost(5.0)),
    budget("quiet sync, file: unconditional requests", Figure("sync-quiet.poller-file.unconditional"), AtMost(0.0)),
    budget("quiet sync, file: body bytes", Figure("sync-quiet.poller-file.body_bytes"), AtMost(0.0)),
    budget("quiet sync, file: CPU ms", Figure("sync-quiet.poller-file.cpu_ms"), AtMost(2.0)),
    budget("commit to visible, 16 readers, Redis: p99 ms", Figure("spread.redis-16.p99_ms"), AtMost(50.0)),
    budget("commit to visible, 16 readers, file: p99 ms", Figure("spread.file-16.p99_ms"), AtMost(300.0)),
    budget("catalogue x 1000: film CPU / today's", Ratio("scale-1000.film.cpu_us", "scale-1.film.cpu_us"), AtMost(1.1)),
    budget("catalogue x 1000: p99 during a reload / quiet", Tail("scale-1000.reload_p99_ms", "scale-1000.quiet_p99_ms"), AtMost(2.0)),
    budget("catalogue x 1000: reader's memory / raw JSON", Ratio("scale-1000.rss_mib", "scale-1000.raw_mib"), AtMost(6.0)),
    budget("catalogue x 1000: sync with one new film, ms", Figure("scale-1000.sync_ms"), AtMost(3000.0)),
    // Linear growth gives 1, growth with the square 33.
    budget("from x 30 to x 1000: growth of a first sync / data", Figure("scale.growth.cold_sync"), AtMost(2.0)),
    budget("from x 30 to x 1000: growth of a sync / data", Figure("scale.growth.sync"), AtMost(2.0)),
    budget("from x 30 to x 1000: growth of a reader's start / data", Figure("scale.growth.load"), AtMost(2.0)),
    budget("from x 30 to x 1000: growth of /films/{id}/people / data", Figure("scale.growth.related"), AtMost(2.0)),
    budget("poller's binary: MiB", Figure("binary.poller.mib"), AtMost(8.0)),
    budget("server's binary: MiB", Figure("binary.server.mib"), AtMost(8.0)),
];

impl Budget {
    /// The figure or ratio, if it was measured.
    pub(super) fn value(&self, figures: &Figures) -> Option<f64> {
        match self.measure {
            Figure(name) => figures.get(name),
            Ratio(name, other) | Tail(name, other) => figures.ratio(name, other),
        }
    }

    /// Whether it compares figures of this case.
    pub(super) fn compares(&self, case: &str) -> bool {
        let (Ratio(one, other) | Tail(one, other)) = self.measure else {
            return false;
        };
        [one, other].map(figures::case).contains(&case)
    }

    /// Whether it is a ratio, which other machines share.
    pub(super) fn is_ratio(&self) -> bool {
        !matches!(self.measure, Figure(_))
    }

    /// What a later value is compared with. Whatever else a machine does decides the slowest
    /// answers, which differ tenfold between two runs of one build; so within the limit, all of
    /// them are equally good.
    pub(super) fn reference(&self, recorded: f64) -> f64 {
        match (&self.measure, self.limit) {
            (Tail(..), AtMost(limit)) => recorded.max(limit),
            _ => recorded,
        }
    }

    /// Whether this value keeps the limit.
    pub(super) fn is_met(&self, value: f64) -> bool {
        match self.limit {
            AtMost(limit) => value <= limit,
            AtLeast(limit) => value >= limit,
        }
    }

    /// How much worse a value is than another: 1.1 is a tenth worse.
    pub(super) fn worsening(&self, value: f64, before: f64) -> f64 {
        match self.limit {
            AtMost(_) => value / before,
            AtLeast(_) => before / value,
        }
    }

    /// The limit in words.
    pub(super) fn limit(&self) -> String {
        match self.limit {
            AtMost(limit) => format!("<= {limit}"),
            AtLeast(limit) => format!(">= {limit}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::bench::cases::CASES;

    #[test]
    fn budgets_have_names_of_their_own() {
        let names: HashSet<_> = BUDGETS.iter().map(|budget| budget.name).collect();
        assert_eq!(names.len(), BUDGETS.len());
    }

    #[test]
    fn budgets_of_the_table_name_servers_of_its_cases() {
        for budget in BUDGETS {
            let (Ratio(one, other) | Tail(one, other)) = budget.measure else {
                continue;
            };
            for figure in [one, other] {
                let (case, rest) = figure.split_once('.').expect("a case");
                let Some(case) = CASES.iter().find(|it| it.name == case) else {
                    assert!(case.starts_with("scale-"), "{figure}");
                    continue;
                };
                let (server, figure) = rest.split_once('.').expect("a server");
                let is_server = |rival: &&super::super::cases::Rival| rival.name() == server;
                let rival = case.rivals.iter().find(is_server).expect(server);
                assert!(!figure.starts_with("steady") || case.steady.contains(rival));
            }
        }
    }

    #[test]
    fn a_budget_gets_worse_in_the_direction_of_its_limit() {
        let at_most = budget("", Figure(""), AtMost(2.0));
        assert!(at_most.is_met(2.0) && !at_most.is_met(2.1));
        assert!(at_most.worsening(1.2, 1.0) > 1.1);
        let at_least = budget("", Figure(""), AtLeast(2.0));
        assert!(at_least.is_met(2.0) && !at_least.is_met(1.9));
        assert!(at_least.worsening(1.0, 1.2) > 1.1);
    }

    #[test]
    fn the_slowest_answers_are_compared_with_their_limit_if_they_were_better() {
        let compared = |measure| {
            let budget = budget("", measure, AtMost(1.0));
            [0.1, 3.0].map(|recorded| budget.reference(recorded).to_string())
        };
        assert_eq!(compared(Tail("", "")), ["1", "3"]);
        assert_eq!(compared(Ratio("", "")), ["0.1", "3"]);
    }
}
