//! Which faults there are, and what each looks like to whom.

/// A fault that the test injects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    UpstreamDown,
    UpstreamSlow,
    UpstreamFails,
    UpstreamLimits,
    Garbage,
    Nothing,
    HalfGone,
    Drift,
    CacheDown,
    CacheFlushed,
    LogFull,
    PollerDead,
    LeaderDead,
    LeaderFreezes,
    TwoCaches,
    ReaderDead,
    ReadersDead,
    EdgeDead,
    ColdStart,
    ReaderBehind,
    ReaderEmpty,
}

impl Trouble {
    pub(super) fn needs_edge(self) -> bool {
        matches!(self, Self::ReaderDead | Self::ReadersDead | Self::EdgeDead)
    }
}

/// What happens to a series.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Rises,
    /// It has this value, and did not before.
    Becomes(f64),
    /// It no longer changes, though it does when all is well.
    Stops,
}

/// What one fault looks like.
pub(super) struct Row {
    pub(super) trouble: Trouble,
    pub(super) title: &'static str,
    /// What a client gets for `/films` meanwhile.
    pub(super) clients: &'static str,
    /// Who logs which events, in the order of each process.
    pub(super) log: &'static [(&'static str, &'static str)],
    pub(super) metrics: &'static [(&'static str, &'static str, Change)],
    /// The alerts that fire.
    pub(super) alerts: &'static [&'static str],
    /// Whose `/status`, and how it begins; none if no reader runs.
    pub(super) status: Option<(&'static str, &'static str)>,
    /// What ends it, and who logs which event then.
    pub(super) end: Option<(&'static str, &'static [(&'static str, &'static str)])>,
}

use Change::{Becomes, Rises, Stops};

const FILMS_CONFIRMED: &str = "ghibli_last_success_timestamp_seconds{collection=\"films\"}";
const PEOPLE_CONFIRMED: &str = "ghibli_last_success_timestamp_seconds{collection=\"people\"}";
const ALL_CONFIRMED: &str = "ghibli_last_confirmed_timestamp_seconds";
const FAILURES: (&str, &str, Change) = ("poller", "ghibli_consecutive_failures", Rises);
const FAILED: (&str, &str, Change) = ("poller", "ghibli_syncs_total{outcome=\"failed\"}", Rises);
const PARTIAL: (&str, &str, Change) = ("poller", "ghibli_syncs_total{outcome=\"partial\"}", Rises);
const FILMS_REJECTED: (&str, &str, Change) = (
    "poller",
    "ghibli_rejections_total{collection=\"films\"}",
    Rises,
);
const RECOVERED: Option<(&str, &[(&str, &str)])> =
    Some(("the upstream answers", &[("poller", "upstream_recovered")]));
const ACCEPTED: Option<(&str, &[(&str, &str)])> =
    Some(("a good answer", &[("poller", "answer_accepted")]));
const UNCONFIRMED: Option<(&str, &str)> = Some(("reader", "The upstream has not confirmed films"));
const REJECTED: Option<(&str, &str)> = Some((
    "reader",
    "The poller rejects the upstream's answer for films",
));
const WELL: Option<(&str, &str)> = Some(("reader", "All is well"));

/// What most rows have in common.
const ROW: Row = Row {
    trouble: Trouble::UpstreamDown,
    title: "",
    clients: "200",
    log: &[],
    metrics: &[],
    alerts: &[],
    status: WELL,
    end: None,
};

pub(super) const ROWS: [Row; 21] = [
    Row {
        trouble: Trouble::UpstreamDown,
        title: "The upstream is down",
        log: &[("poller", "upstream_degraded"), ("poller", "backoff")],
        metrics: &[
            ("poller", FILMS_CONFIRMED, Stops),
            ("reader", ALL_CONFIRMED, Stops),
            FAILURES,
            FAILED,
        ],
        alerts: &["GhibliNoSuccessfulSync"],
        status: UNCONFIRMED,
        end: RECOVERED,
        ..ROW
    },
    Row {
        trouble: Trouble::UpstreamSlow,
        title: "The upstream takes requests and does not answer",
        log: &[("poller", "upstream_degraded"), ("poller", "backoff")],
        metrics: &[("poller", FILMS_CONFIRMED, Stops), FAILURES, FAILED],
        alerts: &["GhibliNoSuccessfulSync"],
        status: UNCONFIRMED,
        end: RECOVERED,
        ..ROW
    },
    Row {
        trouble: Trouble::UpstreamFails,
        title: "The upstream answers 503",
        log: &[("poller", "upstream_degraded"), ("poller", "backoff")],
        metrics: &[("poller", FILMS_CONFIRMED, Stops), FAILURES, FAILED],
        alerts: &["GhibliNoSuccessfulSync"],
        status: UNCONFIRMED,
        end: RECOVERED,
        ..ROW
    },
    Row {
        trouble: Trouble::UpstreamLimits,
        title: "The upstream answers 429 with `Retry-After`",
        log: &[("poller", "upstream_degraded"), ("poller", "backoff")],
        metrics: &[
            ("poller", FILMS_CONFIRMED, Stops),
            ("poller", "ghibli_next_attempt_timestamp_seconds", Rises),
            FAILURES,
        ],
        alerts: &["GhibliNoSuccessfulSync"],
        status: UNCONFIRMED,
        end: RECOVERED,
        ..ROW
    },
    Row {
        trouble: Trouble::Garbage,
        title: "The upstream sends web pages with status 200",
        log: &[("poller", "answer_rejected")],
        metrics: &[
            ("poller", FILMS_CONFIRMED, Stops),
            FAILURES,
            FAILED,
            FILMS_REJECTED,
        ],
        alerts: &["GhibliAnswerRejected", "GhibliNoSuccessfulSync"],
        status: REJECTED,
        end: ACCEPTED,
        ..ROW
    },
    Row {
        trouble: Trouble::Nothing,
        title: "The upstream sends an empty list of films",
        log: &[("poller", "answer_rejected")],
        metrics: &[
            ("poller", FILMS_CONFIRMED, Stops),
            ("poller", PEOPLE_CONFIRMED, Rises),
            FAILURES,
            PARTIAL,
            FILMS_REJECTED,
        ],
        alerts: &["GhibliAnswerRejected", "GhibliNoSuccessfulSync"],
        status: REJECTED,
        end: ACCEPTED,
        ..ROW
    },
    Row {
        trouble: Trouble::HalfGone,
        title: "Half of the films are gone from the upstream's list",
        log: &[("poller", "answer_rejected")],
        metrics: &[
            ("poller", FILMS_CONFIRMED, Stops),
            FAILURES,
            PARTIAL,
            FILMS_REJECTED,
        ],
        alerts: &["GhibliAnswerRejected", "GhibliNoSuccessfulSync"],
        status: REJECTED,
        end: ACCEPTED,
        ..ROW
    },
    Row {
        trouble: Trouble::Drift,
        title: "All films have a new field",
        log: &[
            ("poller", "shape_drift"),
            ("poller", "record_changed"),
            ("reader", "snapshot_loaded"),
        ],
        metrics: &[
            (
                "poller",
                "ghibli_shape_drifts_total{collection=\"films\",change=\"appeared\"}",
                Rises,
            ),
            (
                "poller",
                "ghibli_changes_total{collection=\"films\",kind=\"updated\"}",
                Rises,
            ),
            ("poller", "ghibli_generation", Rises),
            ("reader", "ghibli_snapshot_generation", Rises),
        ],
        alerts: &["GhibliShapeDrift"],
        ..ROW
    },
    Row {
        trouble: Trouble::ColdStart,
        title: "The cache is empty, and the upstream has never answered",
        log: &[
            ("poller", "upstream_degraded"),
            ("reader", "snapshot_loaded"),
            ("reader", "server_ready"),
        ],
        metrics: &[FAILURES, FAILED, ("reader", "ghibli_ready", Becomes(1.0))],
        alerts: &["GhibliNoSuccessfulSync"],
        status: Some(("reader", "The upstream has never confirmed films")),
        end: RECOVERED,
        ..ROW
    },
    Row {
        trouble: Trouble::CacheDown,
        title: "Redis is down",
        log: &[
            ("poller", "cache_unreachable"),
            ("reader", "cache_unreachable"),
        ],
        metrics: &[
            ("poller", "ghibli_syncs_total{outcome=\"error\"}", Rises),
            ("poller", "ghibli_lease_held", Becomes(0.0)),
            ("reader", "ghibli_cache_up", Becomes(0.0)),
            ("reader", ALL_CONFIRMED, Stops),
        ],
        alerts: &[
            "GhibliCacheUnreachable",
            "GhibliNoSuccessfulSync",
            "GhibliNoLeaseHolder",
        ],
        status: Some((
            "reader",
            "This reader has not been able to read the cache since",
        )),
        end: Some((
            "Redis is back, and empty",
            &[
                ("poller", "cache_back"),
                ("poller", "cache_rebuilt"),
                ("reader", "cache_back"),
            ],
        )),
        ..ROW
    },
    Row {
        trouble: Trouble::CacheFlushed,
        title: "Redis is emptied",
        log: &[
            ("poller", "cache_lost"),
            ("poller", "cache_rebuilt"),
            ("reader", "snapshot_loaded"),
        ],
        metrics: &[
            ("poller", "ghibli_generation", Rises),
            ("reader", "ghibli_snapshot_generation", Rises),
        ],
        ..ROW
    },
    Row {
        trouble: Trouble::LogFull,
        title: "The poller's log has no room",
        metrics: &[("poller", "ghibli_log_lines_lost_total", Rises)],
        alerts: &["GhibliLogLinesLost"],
        ..ROW
    },
    Row {
        trouble: Trouble::PollerDead,
        title: "The only poller dies",
        metrics: &[("reader", ALL_CONFIRMED, Stops)],
        alerts: &[
            "GhibliTargetDown",
            "GhibliNoSuccessfulSync",
            "GhibliNoLeaseHolder",
        ],
        status: Some(("reader", "No poller syncs")),
        end: Some(("a poller starts", &[("poller", "lease_taken")])),
        ..ROW
    },
    Row {
        trouble: Trouble::LeaderDead,
        title: "The leader dies, and a standby runs",
        log: &[("standby", "lease_taken")],
        metrics: &[
            ("standby", "ghibli_lease_held", Becomes(1.0)),
            ("reader", ALL_CONFIRMED, Rises),
        ],
        alerts: &["GhibliTargetDown"],
        ..ROW
    },
    Row {
        trouble: Trouble::LeaderFreezes,
        title: "The leader freezes, and a standby runs",
        log: &[("standby", "lease_taken")],
        metrics: &[("standby", "ghibli_lease_held", Becomes(1.0))],
        alerts: &["GhibliTargetDown"],
        end: Some(("the frozen poller goes on", &[("poller", "lease_lost")])),
        ..ROW
    },
    Row {
        trouble: Trouble::TwoCaches,
        title: "A second poller syncs into another cache",
        log: &[("poller 2", "lease_taken")],
        metrics: &[("poller 2", "ghibli_lease_held", Becomes(1.0))],
        alerts: &["GhibliTwoLeaseHolders"],
        ..ROW
    },
    Row {
        trouble: Trouble::ReaderDead,
        title: "One of two readers dies",
        alerts: &["GhibliTargetDown"],
        ..ROW
    },
    Row {
        trouble: Trouble::ReadersDead,
        title: "All readers die",
        clients: "503",
        alerts: &[
            "GhibliTargetDown",
            "GhibliNoReaderReady",
            "GhibliEdgeWithoutReaders",
        ],
        status: None,
        ..ROW
    },
    Row {
        trouble: Trouble::EdgeDead,
        title: "Traefik dies",
        clients: "no answer",
        alerts: &["GhibliEdgeDown"],
        ..ROW
    },
    Row {
        trouble: Trouble::ReaderBehind,
        title: "A reader is cut off from Redis while films appear",
        log: &[
            ("poller", "release_appended"),
            ("reader", "cache_unreachable"),
        ],
        metrics: &[
            ("poller", "ghibli_generation", Rises),
            ("reader", "ghibli_cache_up", Becomes(0.0)),
        ],
        alerts: &["GhibliCacheUnreachable", "GhibliReaderBehind"],
        status: Some((
            "reader",
            "This reader has not been able to read the cache since",
        )),
        end: Some((
            "the network is back",
            &[("reader", "cache_back"), ("reader", "snapshot_loaded")],
        )),
        ..ROW
    },
    Row {
        trouble: Trouble::ReaderEmpty,
        title: "A reader that cannot reach Redis starts, and gets a client's requests",
        clients: "503",
        log: &[("reader 2", "cache_unreachable")],
        metrics: &[
            ("reader 2", "ghibli_ready", Becomes(0.0)),
            ("reader 2", "ghibli_cache_up", Becomes(0.0)),
            (
                "reader 2",
                "ghibli_requests_total{route=\"/{collection}\",status=\"503\"}",
                Rises,
            ),
        ],
        alerts: &[
            "GhibliNotReady",
            "GhibliCacheUnreachable",
            "GhibliErrorRatio",
        ],
        status: Some(("reader 2", "This reader has nothing to show")),
        ..ROW
    },
];
