//! The poller's half: lease and commit, each one script, so that each is atomic.

use std::sync::LazyLock;
use std::time::Duration;

use ::redis::{FromRedisValue, Script, ScriptInvocation, cmd};

use super::{DRILL, Link, Request};
use crate::cache::commit::{Commit, Lease};
use crate::cache::history::{self, MOST, MOST_BYTES, Past};
use crate::cache::last_read::LastRead;
use crate::cache::{CacheError, RedisUrl, Stored, only_a_drill, snapshot_to, status_from};
use crate::log;
use crate::service::telemetry::events;

/// Takes the lease if it is free or ours. Returns the name of the poller that has it now.
///
/// Starts with a write, so that a read-only server refuses a standby too, and not only later when
/// the standby has to take over.
static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return ARGV[1] end
         local holder = redis.call('GET', KEYS[1])
         if holder == ARGV[1] then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
         return holder",
    )
});

/// Gives the lease back if it is ours.
static RELEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
         return 0",
    )
});

/// Commits if the lease is ours and the stored generation is the expected one. Returns -1 if the
/// lease is not ours, else the generation that it found; and why it did not keep that generation in
/// the history, or an empty text.
///
/// The snapshot comes first, so that a Redis without memory refuses the whole commit. The history
/// shrinks before it grows. Its key is no `KEYS` of the script: while a cluster moves the slot, it
/// would refuse a script with a key that does not exist, which the history is at first.
static COMMIT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r#"if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {-1, ''} end
         local head = redis.call('GETRANGE', KEYS[2], 0, 127)
         local found = tonumber(string.match(head, '"generation": *(%d+)') or '0')
         if found ~= tonumber(ARGV[2]) then return {found, ''} end
         local history, most, room = ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9])
         local function keep(old)
             room = room - #old
             if room < 0 then return end
             redis.call('LTRIM', history, 0, most - 2)
             local fit = 0
             for place, older in ipairs(redis.call('LRANGE', history, 0, -1)) do
                 room = room - #older
                 if room < 0 then break end
                 fit = place
             end
             if fit == 0 then redis.call('DEL', history) else redis.call('LTRIM', history, 0, fit - 1) end
             redis.call('LPUSH', history, old)
         end
         local kept, reason = true, ''
         if ARGV[4] ~= '' then
             local old = redis.call('GET', KEYS[2])
             redis.call('SET', KEYS[2], ARGV[4])
             if old and found ~= tonumber(ARGV[3]) then kept, reason = pcall(keep, old) end
         end
         redis.call('SET', KEYS[3], ARGV[5])
         redis.call('PUBLISH', ARGV[6], ARGV[3])
         if kept then return {found, ''} end
         return {found, type(reason) == 'table' and reason.err or tostring(reason)}"#,
    )
});

/// Writes to Redis.
#[derive(Debug)]
pub(in crate::cache) struct Writer {
    link: Link,
    holder: String,
    last: LastRead,
    /// The history cannot be written, and the log already says so.
    forgetful: bool,
}

impl Writer {
    pub(in crate::cache) fn new(url: &RedisUrl, holder: &str) -> Result<Self, CacheError> {
        Ok(Self {
            link: Link::new(url)?,
            holder: holder.to_owned(),
            last: LastRead::default(),
            forgetful: false,
        })
    }

    pub(in crate::cache) fn holder(&self) -> &str {
        &self.holder
    }

    pub(in crate::cache) async fn lease(
        &mut self,
        time_to_live: Duration,
    ) -> Result<Lease, CacheError> {
        self.wake().await?;
        let mut take = TAKE.key(self.link.keys.lease);
        take.arg(&self.holder).arg(milliseconds(time_to_live));
        let holder: String = self.run(&take).await?;
        Ok(if holder == self.holder {
            Lease::Held
        } else {
            Lease::HeldBy(holder)
        })
    }

    pub(in crate::cache) async fn claim(
        &mut self,
        time_to_live: Duration,
    ) -> Result<Lease, CacheError> {
        let mut claim = cmd("SET");
        claim.arg(self.link.keys.lease).arg(&self.holder);
        claim.arg("PX").arg(milliseconds(time_to_live));
        let () = self.link.ask(&claim).await?;
        Ok(Lease::Held)
    }

    pub(in crate::cache) async fn load(&mut self) -> Result<Stored, CacheError> {
        let keys = self.link.keys;
        let snapshot: Option<Vec<u8>> = self.link.ask(cmd("GET").arg(keys.snapshot)).await?;
        let status: Option<Vec<u8>> = self.link.ask(cmd("GET").arg(keys.status)).await?;
        Ok(Stored {
            snapshot: snapshot.map(|json| self.last.read(&json)).transpose()?,
            status: status.map(|json| status_from(&json)).transpose()?,
        })
    }

    pub(in crate::cache) async fn commit(&mut self, commit: Commit<'_>) -> Result<(), CacheError> {
        let snapshot = commit.snapshot.map(snapshot_to).transpose()?;
        self.wake().await?;
        let keys = self.link.keys;
        let mut script = COMMIT.key(keys.lease);
        script
            .key(keys.snapshot)
            .key(keys.status)
            .arg(&self.holder)
            .arg(commit.expected)
            .arg(commit.status.generation)
            .arg(snapshot.unwrap_or_default())
            .arg(commit.status.to_json())
            .arg(keys.changed)
            .arg(keys.history)
            .arg(MOST)
            .arg(MOST_BYTES);
        let (found, forgotten): (i64, String) = self.run(&script).await?;
        match u64::try_from(found) {
            Err(_) => Err(CacheError::LeaseLost),
            Ok(found) if found != commit.expected => Err(CacheError::Conflict {
                expected: commit.expected,
                found,
            }),
            Ok(_) => {
                let reason = Some(forgotten.as_str()).filter(|reason| !reason.is_empty());
                history::report(&mut self.forgetful, reason);
                Ok(())
            }
        }
    }

    pub(in crate::cache) async fn history(&mut self) -> Result<Vec<Past>, CacheError> {
        let mut all = cmd("LRANGE");
        all.arg(self.link.keys.history).arg(0).arg(-1);
        let documents: Vec<Vec<u8>> = self.link.ask(&all).await?;
        Ok(documents.into_iter().map(Past).collect())
    }

    pub(in crate::cache) async fn erase(&mut self) -> Result<(), CacheError> {
        let keys = self.link.keys;
        if keys.lease != DRILL.lease {
            return Err(only_a_drill());
        }
        let mut erase = cmd("DEL");
        erase.arg(&[keys.snapshot, keys.status, keys.history, keys.lease]);
        self.link.ask(&erase).await
    }

    pub(in crate::cache) async fn release(&mut self) -> Result<(), CacheError> {
        let mut release = RELEASE.key(self.link.keys.lease);
        release.arg(&self.holder);
        let _released: i64 = self.link.run(Request::Script(&release)).await?;
        Ok(())
    }

    /// Runs a script. If Redis has no memory left, gives up the history: the present matters more.
    async fn run<T: FromRedisValue>(
        &mut self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, CacheError> {
        let outcome = self.link.run(Request::Script(script)).await;
        if !matches!(&outcome, Err(CacheError::Refused(why)) if why.contains("maxmemory")) {
            return outcome;
        }
        let given_up: u64 = self
            .link
            .ask(cmd("DEL").arg(self.link.keys.history))
            .await
            .unwrap_or_default();
        if given_up == 0 {
            return outcome;
        }
        log!(
            events::HISTORY_GIVEN_UP,
            "Redis is full, so the poller gave up the earlier generations; rollback has none"
        );
        self.link.run(Request::Script(script)).await
    }

    /// Checks the connection before a script that must not be sent twice: it may have died, or its
    /// server may no longer be the master.
    async fn wake(&mut self) -> Result<(), CacheError> {
        if self.link.connection.is_some() && self.link.target.is_replaced().await {
            self.link.connection = None;
        }
        self.link.ask(&cmd("PING")).await
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
