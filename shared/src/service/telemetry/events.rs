//! The catalogue of log events: each event's name, level and meaning, and what an operator does.
//!
//! [`log!`](crate::log) writes a line, and accepts only events from here. `docs/operations.md`
//! shows the catalogue as a table; a test compares the two.

use tracing::Level;

/// One kind of log line. Other crates cannot make one.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Event {
    /// The value of the line's `event` field, which stays the same between versions.
    pub name: &'static str,
    /// The line's level.
    pub level: Level,
    /// Which program logs it.
    pub program: &'static str,
    /// When it is logged.
    pub when: &'static str,
    /// Its fields, besides `timestamp`, `level`, `event`, `message` and `target`.
    pub fields: &'static str,
    /// What an operator does.
    pub action: &'static str,
}

/// Logs an event: `log!(events::DRAINING, signal, "stopping on {signal}")`. The message is a whole
/// sentence; the same facts stand in fields.
#[macro_export]
macro_rules! log {
    ($event:path, $($rest:tt)+) => {
        ::tracing::event!($event.level, event = $event.name, $($rest)+)
    };
}

macro_rules! events {
    ($($program:literal: $($constant:ident $name:literal $level:ident
        $when:literal, [$fields:literal], $action:literal;)*)*) => {
        $($(
            #[doc = $when]
            pub const $constant: Event = Event {
                name: $name,
                level: Level::$level,
                program: $program,
                when: $when,
                fields: $fields,
                action: $action,
            };
        )*)*

        /// Every event, in the order of the documentation.
        pub const ALL: &[Event] = &[$($($constant),*),*];
    };
}

events! {
    "poller":
    POLLER_STARTED "poller_started" INFO
        "The poller has started.",
        ["`version`, `upstream`, `cache`, `schedule`, `admin_address`"], "Nothing.";
    POLLER_STOPPED "poller_stopped" INFO
        "The poller ends after a signal.", ["`signal`"], "Nothing, if you stopped it.";
    SYNC_COMPLETED "sync_completed" INFO
        "Every cycle ends with exactly one, also a failed cycle. It is the heartbeat.",
        ["`outcome`, `generation`, `duration_ms`, `reason`, `next_attempt_at` (UTC), and for each \
          collection, such as `films`: `films.result`, `films.count`, `films.appended`, \
          `films.updated`, `films.set_aside` (records)"],
        "Alert when none comes for five minutes.";
    RELEASE_APPENDED "release_appended" INFO
        "The upstream lists a film that the mirror has never seen.",
        ["`sequence`, `id`, `title`"], "Nothing.";
    RECORD_CHANGED "record_changed" INFO
        "A known record has other content.",
        ["`collection`, `id`, `fields`; `records` in the line that counts the rest"], "Nothing.";
    RECORD_WITHDRAWN "record_withdrawn" WARN
        "The upstream no longer lists a record. The mirror keeps it.",
        ["`collection`, `id`; `records` in the line that counts the rest"],
        "`ghibli-poller prune`, if the record should go.";
    RECORD_RESTORED "record_restored" INFO
        "The upstream lists a withdrawn record again.",
        ["`collection`, `id`; `records` in the line that counts the rest"], "Nothing.";
    RECORD_SET_ASIDE "record_set_aside" WARN
        "A record cannot be used, for a reason that is new. The others go on.",
        ["`collection`, `index` (place in the answer, from 0), `id`, `reason`; `records` in the \
          line that counts the rest"],
        "Report it to the upstream.";
    DUPLICATE_ID "duplicate_id" WARN
        "An answer lists an id twice, and the answer before it did not. The first record counts.",
        ["`collection`, `id`; `records` in the line that counts the rest"],
        "Report it to the upstream.";
    SHAPE_DRIFT "shape_drift" WARN
        "With new content, a field appears in a collection, vanishes from all its records, or \
         has values of another JSON type. Once for each change.",
        ["`collection`, `field`, `change` (`appeared`, `vanished`, `type`), `before`, `after` \
          (JSON types)"],
        "Check the programs that read this field.";
    RECORDS_PRUNED "records_pruned" INFO
        "A person removed the withdrawn records.", ["`records`"], "Nothing.";
    GENERATION_RESTORED "generation_restored" INFO
        "A person brought an earlier generation back.",
        ["`generation`, `from` (the earlier one)"], "Nothing.";
    SNAPSHOT_IMPORTED "snapshot_imported" INFO
        "A person imported a snapshot from a file.",
        ["`generation`, `from` (the file's generation)"], "Nothing.";
    HISTORY_NOT_KEPT "history_not_kept" WARN
        "Commits succeed, but the generation before cannot be kept. Once.",
        ["`reason`"], "Follow `reason`: `rollback` does not know these generations.";
    HISTORY_GIVEN_UP "history_given_up" WARN
        "Redis has no memory left, so the poller removed the earlier generations.", ["—"],
        "Give Redis more memory.";
    HEARTBEAT_FAILING "heartbeat_failing" WARN
        "Requests to `HEARTBEAT_URL` begin to fail.", ["`reason`"], "Follow `reason`.";
    HEARTBEAT_BACK "heartbeat_back" INFO
        "Requests to `HEARTBEAT_URL` succeed again.", ["—"], "Nothing.";
    WEBHOOK_DELIVERED "webhook_delivered" INFO
        "A webhook has accepted a release.",
        ["`url` (its origin), `id` (of the message), `attempts`"], "Nothing.";
    WEBHOOK_FAILING "webhook_failing" WARN
        "A webhook begins to fail; hourly while it does. Its releases wait.",
        ["`url` (its origin), `reason`, `since` (UTC)"],
        "Follow `reason`. `webhook_delivered` ends it.";
    WEBHOOKS_GIVEN_UP "webhooks_given_up" ERROR
        "More than 1,000 releases wait for a webhook, so the poller gave up the oldest.",
        ["`releases`"], "Mend the webhook, or remove its URL.";
    ANSWER_REJECTED "answer_rejected" WARN
        "The poller begins to reject an answer; hourly while it does.",
        ["`collections`, `reason`, `since` (last confirmed, UTC)"],
        "Look at the upstream. `ghibli-poller accept`, if a suspicious answer is right.";
    ANSWER_ACCEPTED "answer_accepted" INFO
        "Collections whose answers were rejected are confirmed again.",
        ["`collections`, `since` (UTC)"], "Nothing.";
    UPSTREAM_DEGRADED "upstream_degraded" WARN
        "A collection gets no answer; hourly until all are confirmed.",
        ["`reason`, `since` (last full sync, UTC)"],
        "Nothing at first: the last data stays. Look at `reason` when it lasts.";
    UPSTREAM_RECOVERED "upstream_recovered" INFO
        "All collections are confirmed after `upstream_degraded`.",
        ["`since` (last full sync before, UTC), `duration_s`"], "Nothing.";
    UPSTREAM_PRESUMED_DEAD "upstream_presumed_dead" WARN
        "No collection was confirmed for three days; then daily instead of `upstream_degraded`.",
        ["`since` (last confirmation, UTC), `reason`"],
        "Find out where the upstream has gone; set `GHIBLI_API`.";
    BACKOFF "backoff" INFO
        "The poller begins to leave the upstream alone for longer than the schedule.",
        ["`next_attempt_at`, `scheduled_at` (UTC)"], "Nothing: one answer restores the schedule.";
    SYNC_ABORTED "sync_aborted" WARN
        "Cycles begin to take too long, or to panic; hourly while they do.",
        ["`reason`, `since` (UTC)"], "Report it to this project.";
    CACHE_LOST "cache_lost" WARN
        "The cache lacks data that the poller remembers. The poller restores it.",
        ["`stored_generation`, `generation`"], "Find out what emptied the cache.";
    CACHE_REBUILT "cache_rebuilt" INFO
        "The lost data is in the cache again.", ["`generation`"], "Nothing.";
    LEASE_TAKEN "lease_taken" INFO
        "This poller syncs from now on.",
        ["`holder` (this poller), `from` (a poller that knew less)"], "Nothing.";
    LEASE_LOST "lease_lost" WARN
        "Another poller syncs now; this one stands by.", ["`holder`"],
        "Nothing, unless the poller was not paused.";
    LEASE_FENCED "lease_fenced" WARN
        "The cache refused a commit, because the lease had run out or moved.", ["`reason`"],
        "Nothing, unless it happens again: then the machine pauses for seconds.";
    SNAPSHOT_REMEMBERED "snapshot_remembered" DEBUG
        "A standby has read what the other poller committed.",
        ["`generation`, `films.count`"], "Nothing.";
    STANDBY "standby" INFO
        "Another poller syncs; hourly while this one stands by.",
        ["`holder`, `since` (UTC)"], "Nothing.";

    "both":
    CACHE_UNREACHABLE "cache_unreachable" WARN
        "The cache cannot be used; hourly while it cannot. Servers serve what is in memory.",
        ["`reason`, `since` (UTC), `generation`"], "Follow `reason`.";
    CACHE_BACK "cache_back" INFO
        "The cache can be used again.", ["`since` (UTC), `duration_s`"], "Nothing.";
    SUPERVISOR_DEAF "supervisor_deaf" WARN
        "systemd's socket does not take a notice.", ["`state`, `reason`"], "Follow `reason`.";
    CACHE_NOT_DURABLE "cache_not_durable" WARN
        "The file system of the cache does not confirm what it has written. Once.",
        ["`reason`"], "Use another file system, if a loss of power matters.";
    PASSWORD_READ_AGAIN "password_read_again" INFO
        "Redis refused the login, so the process has read `CACHE_URL_FILE` again.", ["—"],
        "Nothing, if you changed the password.";
    FILES_LIMITED "files_limited" WARN
        "The system allows fewer open files than the connections need.",
        ["`files`, `connections`"], "Raise `ulimit -n`.";
    DRAIN_TIMED_OUT "drain_timed_out" WARN
        "Connections were still open when the time to drain ended.", ["`drain_s`"], "Nothing.";
    TASK_PANICKED "task_panicked" ERROR
        "A mistake in this program.", ["`location`, `reason`"], "Report it to this project.";
    LINES_LOST "lines_lost" ERROR
        "Standard error could not be written.", ["`lost_lines`"],
        "Find out why nothing read the log.";

    "server":
    SERVER_STARTED "server_started" INFO
        "The server listens.",
        ["`version`, `address`, `admin_address`, `cache`, `links`"], "Nothing.";
    SERVER_READY "server_ready" INFO
        "The first snapshot is served.", ["`generation`"], "Nothing.";
    SNAPSHOT_LOADED "snapshot_loaded" INFO
        "The server has loaded a new generation.", ["`generation`, `films`, `people`"], "Nothing.";
    CACHE_STILL_UNREACHABLE "cache_still_unreachable" DEBUG
        "Another look at the cache has failed.", ["`reason`"], "Follow `cache_unreachable`.";
    NOTICES_REFUSED "notices_refused" WARN
        "Redis does not let the server subscribe. The server looks at intervals instead.",
        ["`reason`, `interval_ms`"], "Let the Redis user subscribe.";
    FALLBACK_STARTED "fallback_started" INFO
        "The fallback listens, which answers 503.",
        ["`version`, `address`, `admin_address`"], "Nothing.";
    DRAINING "draining" INFO
        "A signal came. Open requests may finish.", ["`signal`"], "Nothing, if you stopped it.";
    STOPPED "stopped" INFO
        "The server ends.", ["—"], "Nothing, if you stopped it.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write;
    use std::fs;

    use super::*;

    const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");
    const BEGIN: &str = "<!-- events: written by UPDATE_DOCS=1 cargo test -p shared events -->\n";
    const END: &str = "<!-- /events -->\n";

    fn table() -> String {
        let mut table = "\n| event | level | by | when | fields | what to do |\n".to_owned();
        table.push_str("|---|---|---|---|---|---|\n");
        for event in ALL {
            let Event {
                name,
                level,
                program,
                when,
                fields,
                action,
            } = event;
            let level = level.to_string().to_lowercase();
            let row = format!("| `{name}` | {level} | {program} | {when} | {fields} | {action} |");
            writeln!(table, "{row}").unwrap();
        }
        table.push('\n');
        table
    }

    #[test]
    fn the_documentation_shows_every_event() {
        let docs = fs::read_to_string(DOCS).unwrap();
        let (before, rest) = docs.split_once(BEGIN).unwrap();
        let (shown, after) = rest.split_once(END).unwrap();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let docs = [before, BEGIN, &table(), END, after].concat();
            return fs::write(DOCS, docs).unwrap();
        }
        assert_eq!(shown, table(), "run the command in the comment above it");
    }

    #[test]
    fn no_two_events_have_one_name() {
        let names: BTreeSet<_> = ALL.iter().map(|event| event.name).collect();
        assert_eq!(names.len(), ALL.len());
    }
}
