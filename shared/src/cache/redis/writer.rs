//! The poller's half: lease and commit, each one script, so that each is atomic.

use std::sync::LazyLock;
use std::time::Duration;

use ::redis::{Script, cmd};

use super::{CHANGED, LEASE, Link, Request, SNAPSHOT, STATUS};
use crate::cache::commit::{Commit, Lease};
use crate::cache::{CacheError, RedisUrl, Stored, snapshot_from, snapshot_to, status_from};

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
/// lease is not ours, else the generation that it found.
static COMMIT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r#"if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
         local head = redis.call('GETRANGE', KEYS[2], 0, 127)
         local found = tonumber(string.match(head, '"generation": *(%d+)') or '0')
         if found ~= tonumber(ARGV[2]) then return found end
         if ARGV[4] ~= '' then redis.call('SET', KEYS[2], ARGV[4]) end
         redis.call('SET', KEYS[3], ARGV[5])
         redis.call('PUBLISH', ARGV[6], ARGV[3])
         return found"#,
    )
});

/// Writes to Redis.
#[derive(Debug)]
pub(in crate::cache) struct Writer {
    link: Link,
    holder: String,
}

impl Writer {
    pub(in crate::cache) fn new(url: &RedisUrl, holder: &str) -> Result<Self, CacheError> {
        Ok(Self {
            link: Link::new(url)?,
            holder: holder.to_owned(),
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
        let mut take = TAKE.key(LEASE);
        take.arg(&self.holder).arg(milliseconds(time_to_live));
        let holder: String = self.link.run(Request::Script(&take)).await?;
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
        claim.arg(LEASE).arg(&self.holder);
        claim.arg("PX").arg(milliseconds(time_to_live));
        let () = self.link.ask(&claim).await?;
        Ok(Lease::Held)
    }

    pub(in crate::cache) async fn load(&mut self) -> Result<Stored, CacheError> {
        let snapshot: Option<Vec<u8>> = self.link.ask(cmd("GET").arg(SNAPSHOT)).await?;
        let status: Option<Vec<u8>> = self.link.ask(cmd("GET").arg(STATUS)).await?;
        Ok(Stored {
            snapshot: snapshot.map(|json| snapshot_from(&json)).transpose()?,
            status: status.map(|json| status_from(&json)).transpose()?,
        })
    }

    pub(in crate::cache) async fn commit(&mut self, commit: Commit<'_>) -> Result<(), CacheError> {
        let snapshot = commit.snapshot.map(snapshot_to).transpose()?;
        self.wake().await?;
        let mut script = COMMIT.key(LEASE);
        script
            .key(SNAPSHOT)
            .key(STATUS)
            .arg(&self.holder)
            .arg(commit.expected)
            .arg(commit.status.generation)
            .arg(snapshot.unwrap_or_default())
            .arg(commit.status.to_json())
            .arg(CHANGED);
        let found: i64 = self.link.run(Request::Script(&script)).await?;
        match u64::try_from(found) {
            Err(_) => Err(CacheError::LeaseLost),
            Ok(found) if found != commit.expected => Err(CacheError::Conflict {
                expected: commit.expected,
                found,
            }),
            Ok(_) => Ok(()),
        }
    }

    pub(in crate::cache) async fn release(&mut self) -> Result<(), CacheError> {
        let mut release = RELEASE.key(LEASE);
        release.arg(&self.holder);
        let _released: i64 = self.link.run(Request::Script(&release)).await?;
        Ok(())
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
